from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from prune_cli.config.build import construct
from prune_cli.errors import UserError
from prune_cli.heads.text import Text
from prune_cli.tasks.data_to_text import Dart, DataToText, E2eNlg, WebNlg
from prune_cli.tasks.linearization import attributes_in_line, triples_in_line
from tests.tiers import exhaustive

Tokenizers = Mapping[str, PreTrainedTokenizerFast]

TEXTS = [
    "Ada Lovelace was born in London.",
    "London is where Ada Lovelace, a writer, was born.",
    "A writer from London; her name: Ada!",
    "Café Zürich is a cheap pub near the river.",
]
ADA = "Ada | birth place | London && Ada | occupation | writer"
CAFE = "name : Café | area : river"
TRAINED_ON = [*TEXTS * 5, *(f"{source}\nText: {text}" for source in (ADA, CAFE) for text in TEXTS), "a a a"] * 3


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    """One of each kind, as to what is added to a text, and to its first word."""
    return {
        "gpt2": byte_level(eos="<end>"),
        "llama": byte_level(eos="<end>", before="<begin>"),
        "llama_sentencepiece": sentencepiece(before="<s>"),
        "t5": sentencepiece(after="</s>"),
        "bart": byte_level(eos="</s>", before="<s>", after="</s>"),
    }


def byte_level(*, eos: str, before: str = "", after: str = "") -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=list(dict.fromkeys(["<pad>", eos, before or eos])),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
        before,
        after,
        eos_token=eos,
        pad_token="<pad>",
    )


def sentencepiece(*, before: str = "", after: str = "") -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    special = ["<pad>", "</s>", "<unk>", "<s>"]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    return trained(tokenizer, trainer, before, after, eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


def trained(tokenizer: Tokenizer, trainer: Any, before: str, after: str, **special: str) -> PreTrainedTokenizerFast:
    tokenizer.train_from_iterator(TRAINED_ON, trainer)
    if before or after:
        added = [token for token in (before, after) if token]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*([before] if before else []), "$A", *([after] if after else [])],
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in dict.fromkeys(added)],
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


KINDS = ["gpt2", "llama", "llama_sentencepiece", "t5", "bart"]


def made(**changes: Any) -> WebNlg:
    return construct(WebNlg, {"name": "web_nlg", **changes}, "task")


WEB, E2E, DART = made(), E2eNlg(name="e2e_nlg", hub_path=""), Dart(name="dart", hub_path="")


def dataset(*rows: tuple[str, list[str]]) -> Dataset:
    return Dataset.from_dict({"source": [row[0] for row in rows], "references": [row[1] for row in rows]})


def without_references(*sources: str) -> Dataset:
    return Dataset.from_dict({"source": list(sources)})


def words(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


# --- fields


@pytest.mark.parametrize(
    ("name", "kind", "path", "config"),
    [
        ("web_nlg", WebNlg, "webnlg-challenge/web_nlg", "webnlg_challenge_2017"),
        ("e2e_nlg", E2eNlg, "tuetschek/e2e_nlg", None),
        ("dart", Dart, "Yale-LILY/dart", None),
    ],
)
def test_yaml(glue_task: Callable[..., Any], name: str, kind: type, path: str, config: str | None):
    task = glue_task(name)
    assert type(task) is kind
    assert (task.labels, task.primary_metric) == ((), "bleu")
    assert task.prompt == "{source}\nText:"
    assert task.head == Text(max_new_tokens=96, beams=1)
    assert (task.hub_path, task.hub_config, task.hub_revision) == (path, config, "refs/convert/parquet")
    assert task.evaluation_records == 200
    assert (task.inputs, dict(task.columns)) == (("source",), {"source": str, "references": list})
    assert task.fitted([], None) is task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "Describe:"}, r"task.prompt='Describe:': it must have \{source\} once"),
        ({"prompt": "{source} {source}"}, r"it must have \{source\} once"),
        (
            {"primary_metric": "ter"},
            "task.primary_metric=ter cannot tell the better of two runs; bleu, chrf_plus_plus, r",
        ),
        ({"primary_metric": "meteor"}, "task.primary_metric=meteor cannot"),
        ({"generate": False}, r"=bleu cannot tell the better of two runs where generate=false; likelihood can"),
        ({"fact": "{subject} {object}"}, r"task.fact='\{subject\} \{object\}': it must have \{predicate\} too"),
        ({"between": ""}, "task.between is empty"),
        ({"max_length": 0}, "task.max_length=0: give at least 1"),
        ({"max_source": 0}, "task.max_source=0: give at least 1"),
        ({"max_new_tokens": 1}, "task.max_new_tokens=1: give at least 2"),
        ({"beams": 0}, "task.beams=0: give at least 1"),
        ({"evaluation_splits": ()}, "task.evaluation_splits is empty"),
        ({"evaluation_records": 0}, "task.evaluation_records=0: give at least 1"),
    ],
)
def test_impossible_fields(changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        made(**changes)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(UserError) as caught:
        made(prompt="", beams=0, evaluation_splits=())
    assert len(caught.value.problems) == 3


def test_the_base_is_no_task():
    with pytest.raises(TypeError, match="abstract"):
        DataToText(name="any", hub_path="", fact="", between="")  # pyright: ignore[reportAbstractUsage]


# --- facts in a line


@pytest.mark.parametrize(
    ("triple", "line"),
    [
        ("Aarhus | leaderName | Jacob_Bundsgaard", "Aarhus | leader name | Jacob Bundsgaard"),
        ('A.C._Cesena | ground | "Cesena"', "A.C. Cesena | ground | Cesena"),
        ("X | elevationAboveTheSeaLevel_(in_metres) | 507", "X | elevation above the sea level (in metres) | 507"),
        ("X | 1st_runway_LengthFeet | 8.5", "X | 1st runway Length feet | 8.5"),
        ("X | UTCOffset | -6", "X | UTC offset | -6"),
        ("X | ICAO_Location_Identifier | ORAA", "X | ICAO Location Identifier | ORAA"),
        ("X | isPartOf | AT&T", "X | is part of | AT&T"),
        ('X | region | "Squeezed" or "smashed" chicken', 'X | region | "Squeezed" or "smashed" chicken'),
        ("X|occupation|writer", "X | occupation | writer"),
        ("X | nick | ", "X | nick |"),
    ],
)
def test_a_triple_in_words(triple: str, line: str):
    assert triples_in_line([triple]) == line
    assert triples_in_line(triple) == line
    assert triples_in_line([triple.split("|")]) == line
    assert triples_in_line(line) == line  # what is written so already stays


def test_capitals_and_marks_of_dart():
    facts = [["[TABLECONTEXT]", "[TITLE]", "List | of\tcities"], ["A && B", "NUMBER_OF_STUDENTS", "16000"]]
    line = "[TABLECONTEXT] | [title] | List / of cities && A & B | number of students | 16000"
    assert triples_in_line(facts) == line
    assert triples_in_line(line) == line


@pytest.mark.parametrize(
    "text",
    [
        "Ada | birthPlace | London; Ada | occupation | writer",
        "Ada | birthPlace | London;Ada | occupation | writer;",
        "Ada | birthPlace | London\nAda | occupation | writer\n",
        "Ada|birth place|London && Ada|occupation|writer",
        ADA,
    ],
)
def test_triples_in_one_text(text: str):
    assert triples_in_line(text) == ADA
    assert WEB.adapt({"source": text}) == DART.adapt({"source": text}) == {"source": ADA}


def test_an_object_may_have_semicolons():
    assert triples_in_line("Ada | works | Notes; Letters\nAda | is | a poet") == (
        "Ada | works | Notes; Letters && Ada | is | a poet"
    )


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (["Ada | birthPlace"], r"fact 1 is 'Ada \| birthPlace', not subject \| predicate \| object"),
        (["A | b | c", "A | b | c | d"], "fact 2 is 'A . b . c . d', not subject"),
        ([["Ada", "birthPlace"]], r"fact 1 is \['Ada', 'birthPlace'\], not subject"),
        ([["Ada", "birthYear", 1815]], r"fact 1 is \['Ada', 'birthYear', 1815\], not"),
        ([None], "fact 1 is None, not"),
        ("Ada was born in London", "fact 1 is 'Ada was born in London', not"),
        (None, "the facts are None, not text or a list"),
        ({"subject": "Ada"}, "the facts are {'subject': 'Ada'}, not text or a list"),
    ],
)
def test_malformed_triples(facts: Any, message: str):
    with pytest.raises(ValueError, match=message):
        WEB.adapt({"triples": facts})


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ("name[Alimentum], area[city centre]", "name : Alimentum | area : city centre"),
        ("eatType[pub],familyFriendly[no] ", "eat type : pub | family friendly : no"),
        ("name[The Rice, Boat], priceRange[less than £20]", "name : The Rice, Boat | price range : less than £20"),
        ("customer rating[5 out of 5]", "customer rating : 5 out of 5"),
        ("name: Zizzi | area : a:b", "name : Zizzi | area : a:b"),
        ("near[]", "near :"),
        ("", ""),
    ],
)
def test_attributes_in_words(facts: str, line: str):
    assert attributes_in_line(facts) == line
    assert attributes_in_line(line) == line


@pytest.mark.parametrize("facts", ["a pub near the river", "name[Zizzi], area", "name[Zizzi", "name : Zizzi | pub", None, []])
def test_malformed_attributes(facts: Any):
    with pytest.raises(ValueError, match=r"the facts are .*, not "):
        E2E.adapt({"meaning_representation": facts})


# --- records

LINE = "Aarhus | leader name | Jacob Bundsgaard && Aarhus | country | Denmark"
TRIPLES = ["Aarhus | leaderName | Jacob_Bundsgaard", "Aarhus | country | Denmark"]
SAID = ["The leader of Aarhus is Jacob Bundsgaard.", "Jacob Bundsgaard leads Aarhus."]


@pytest.mark.parametrize(
    "row",
    [
        {"category": "Airport", "size": 2, "eid": "Id1", "triples": TRIPLES, "references": SAID},
        {  # of the hub, lists of objects as objects of lists
            "category": "Airport",
            "original_triple_sets": {"otriple_set": [["Aarhus | leader | Jacob_Bundsgaard"], ["Aarhus | a | b"]]},
            "modified_triple_sets": {"mtriple_set": [TRIPLES]},
            "lex": {"comment": ["good", "good"], "lid": ["Id1", "Id2"], "text": SAID, "lang": ["", ""]},
        },
        {
            "modified_triple_sets": [{"mtriple_set": TRIPLES}],
            "lex": [{"comment": "good", "text": text} for text in SAID],
        },
        {"gem_id": "web_nlg_en-validation-0", "input": TRIPLES, "target": SAID[0], "references": SAID},
        {"source": LINE, "references": SAID},
    ],
)
def test_every_form_of_web_nlg_is_the_same_record(row: dict[str, Any]):
    assert WEB.adapt(row) == {"source": LINE, "references": SAID}


@pytest.mark.parametrize(
    "row",
    [
        {
            "tripleset": [triple.split(" | ") for triple in TRIPLES],
            "subtree_was_extended": False,
            "annotations": {"source": ["webnlg", "webnlg"], "text": SAID},
        },
        {  # of the data set's own files
            "tripleset": [triple.split(" | ") for triple in TRIPLES],
            "annotations": [{"source": "webnlg", "text": text} for text in SAID],
        },
        {"dart_id": 0, "tripleset": [triple.split(" | ") for triple in TRIPLES], "target": SAID[0], "references": SAID},
        {"triples": TRIPLES, "references": SAID},
        {"source": LINE, "references": SAID},
    ],
)
def test_every_form_of_dart_is_the_same_record(row: dict[str, Any]):
    assert DART.adapt(row) == {"source": LINE, "references": SAID}


def test_training_records_of_gem_have_a_target_alone():
    row = {"tripleset": [TRIPLES[1].split(" | ")], "target": "Aarhus is in Denmark.", "references": []}
    assert DART.adapt(row)["references"] == ["Aarhus is in Denmark."]
    mr = "name[Zizzi]"
    assert E2E.adapt({"meaning_representation": mr, "target": "Zizzi.", "references": []})["references"] == ["Zizzi."]


def test_e2e_records():
    row = {"meaning_representation": "name[Zizzi], area[riverside]", "human_reference": "Zizzi is at the river."}
    adapted = {"source": "name : Zizzi | area : riverside", "references": ["Zizzi is at the river."]}
    assert E2E.adapt(row) == adapted
    assert E2E.adapt(adapted) == adapted


@pytest.mark.parametrize(
    ("task", "row"),
    [
        (WEB, {"triples": TRIPLES}),
        (WEB, {"modified_triple_sets": {"mtriple_set": [TRIPLES]}}),
        (WEB, {"source": LINE}),
        (DART, {"tripleset": [triple.split(" | ") for triple in TRIPLES]}),
        (DART, {"source": "\n".join(TRIPLES)}),
    ],
)
def test_a_prediction_needs_no_references(task: DataToText, row: dict[str, Any]):
    assert task.adapt(row) == {"source": LINE}


def test_attributes_for_a_prediction():
    for text in ("name[Zizzi], area[riverside]", "name : Zizzi | area : riverside"):
        assert E2E.adapt({"source": text}) == {"source": "name : Zizzi | area : riverside"}


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        (WEB, {"text": "a"}, "no column of facts, `triples` or `input` or `source`; there are `text`"),
        (DART, {}, "no column of facts, `tripleset` or `triples` or `source`; there are none"),
        (E2E, {"mr": "a"}, "no column of facts, `meaning_representation` or `source`; there are `mr`"),
        (WEB, {"triples": TRIPLES, "references": "a"}, "the references must be a list of texts, and are 'a'"),
        (
            WEB,
            {"triples": TRIPLES, "references": ["a", None]},
            r"the references must be a list of texts, and are \['a', N",
        ),
        (E2E, {"source": "a : b", "human_reference": 7}, r"the references must be a list of texts, and are \[7\]"),
        (WEB, {"triples": TRIPLES, "lex": {"comment": []}}, r"there is no list `text` in \{'comment': \[\]\}"),
        (DART, {"triples": TRIPLES, "annotations": ["a"]}, r"there is no list `text` in \['a'\]"),
        (WEB, {"modified_triple_sets": None}, "there is no list `mtriple_set` in None"),
    ],
)
def test_records_of_another_shape(task: DataToText, row: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        task.adapt(row)


def test_check_finds_every_kind_of_bad_record():
    records = dataset(
        (ADA, ["Ada."]),
        (WEB.adapt({"triples": [], "references": ["a"]})["source"], ["a"]),
        (ADA, []),
        (ADA, ["Ada.", " \n"]),
        ("Ada | is | " + "a" * 20, ["a"]),
        (WEB.adapt({"modified_triple_sets": {"mtriple_set": []}})["source"], ["a"]),
    )
    assert made(max_source=30).check(records.select([0])) == [
        (0, "the facts have 55 characters, above task.max_source=30: are several records in one?")
    ]
    assert made(max_source=55).check(records) == [
        (1, "no facts"),
        (2, "no reference: there is no text to learn from or to compare with"),
        (3, "reference 2 of 2 is empty"),
        (5, "no facts"),
    ]


def test_examples_gather_the_references_of_the_same_facts():
    records = dataset(("b", ["1"]), ("a", ["2", "3"]), ("b", ["1"]), ("c", ["4"]), ("a", ["5"]))
    assert WEB.examples(records).to_dict() == {
        "source": ["b", "a", "c"],
        "references": [["1", "1"], ["2", "3", "5"], ["4"]],
    }


# --- model inputs


def test_to_learn_from_there_is_a_row_for_each_reference(tokenizers: Tokenizers):
    records = dataset((ADA, TEXTS[:2]), ("Ada | is | a writer", TEXTS[2:3]))
    encoded = WEB.encode(records, tokenizers["gpt2"], training=True)
    assert encoded["record"][:] == [0, 0, 1]
    rows = encoded.to_list()
    first, second, third = rows
    assert first["source_ids"] == second["source_ids"] != third["source_ids"]
    assert words(tokenizers["gpt2"], first["source_ids"]) == f"{ADA}\nText:"
    assert [words(tokenizers["gpt2"], row["target_ids"]) for row in rows] == [f" {text}<end>" for text in TEXTS[:3]]
    assert [row["length"] for row in rows] == [len(row["source_ids"]) + len(row["target_ids"]) for row in rows]


def test_to_evaluate_there_is_a_row_for_each_record(tokenizers: Tokenizers):
    records = dataset((ADA, TEXTS[:2]), ("Ada | is | a writer", TEXTS[2:3]))
    encoded = WEB.encode(records, tokenizers["gpt2"], training=False)
    assert encoded["record"][:] == [0, 1]
    assert [words(tokenizers["gpt2"], row["target_ids"]) for row in encoded.to_list()] == [
        f" {TEXTS[0]}<end>",
        f" {TEXTS[2]}<end>",
    ]
    assert [row["length"] for row in encoded.to_list()] == [len(row["source_ids"]) for row in encoded.to_list()]


@pytest.mark.parametrize("training", [False, True])
def test_records_without_references_have_no_targets(tokenizers: Tokenizers, training: bool):
    encoded = WEB.encode(without_references(ADA, "A | b | c"), tokenizers["gpt2"], training=training)
    assert set(encoded.column_names) == {"source_ids", "length", "record", "cut"}
    assert encoded["record"][:] == [0, 1]
    known = WEB.encode(dataset((ADA, TEXTS[:1]), ("A | b | c", TEXTS[1:])), tokenizers["gpt2"], training=False)
    for column in encoded.column_names:  # so that a prediction sees what an evaluation saw
        assert encoded[column][:] == known[column][:]


@pytest.mark.parametrize(
    ("kind", "source", "target"),
    [  # a decoder's source has no end, behind which it would write nothing
        ("gpt2", "{}\nText:", " {}<end>"),
        ("llama", "<begin>{}\nText:", " {}<end>"),
        ("llama_sentencepiece", "<s> {}\nText:", "{}</s>"),
        ("t5", "{}\nText:</s>", "{}</s>"),
        ("bart", "<s>{}\nText:</s>", "<s>{}</s>"),
    ],
)
def test_special_tokens(tokenizers: Tokenizers, kind: str, source: str, target: str):
    tokenizer = tokenizers[kind]
    row = WEB.encode(dataset((ADA, TEXTS[:1])), tokenizer, training=True)[0]
    assert words(tokenizer, row["source_ids"]) == source.format(ADA)
    assert words(tokenizer, row["target_ids"]) == target.format(TEXTS[0])
    assert row["target_ids"].count(tokenizer.eos_token_id) == 1


@pytest.mark.parametrize("kind", ["gpt2", "llama", "llama_sentencepiece"])
def test_source_and_target_of_a_decoder_are_tokens_of_one_text(tokenizers: Tokenizers, kind: str):
    tokenizer = tokenizers[kind]
    row = WEB.encode(dataset((ADA, TEXTS[:1])), tokenizer, training=True)[0]
    whole = tokenizer(f"{ADA}\nText: {TEXTS[0]}")["input_ids"]
    assert [*row["source_ids"], *row["target_ids"]] == [*whole, tokenizer.eos_token_id]


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_read_what_encode_wrote(tokenizers: Tokenizers, kind: str):
    tokenizer = tokenizers[kind]
    records = dataset(*((ADA, [f" {text}\n"]) for text in TEXTS))
    encoded = WEB.encode(records, tokenizer, training=False)
    targets = [ids[: ids.index(tokenizer.eos_token_id)] for ids in encoded["target_ids"][:]]
    outputs = np.full((len(targets), max(map(len, targets)) + 2), -100)
    for row, ids in zip(outputs, targets, strict=True):
        row[: len(ids)] = ids
    assert WEB.predictions((outputs,), encoded, records, tokenizer) == [{"text": text} for text in TEXTS]


def test_a_text_may_be_empty_and_special_tokens_are_no_text(tokenizers: Tokenizers):
    tokenizer = tokenizers["gpt2"]
    outputs = np.array([[-100, -100], [tokenizer.eos_token_id, -100]])
    assert WEB.predictions((outputs,), without_references("a", "b"), without_references("a", "b"), tokenizer) == [
        {"text": ""},
        {"text": ""},
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_reads_like_an_end_is_no_end(tokenizers: Tokenizers, kind: str):
    tokenizer = tokenizers[kind]
    records = dataset((ADA, [f"Ada {tokenizer.eos_token} was"]), (ADA, [TEXTS[0]]))
    for row in WEB.encode(records, tokenizer, training=True).to_list():
        ids = row["target_ids"]
        assert ids.count(tokenizer.eos_token_id) == 1
        assert ids[-1] == tokenizer.eos_token_id


def test_a_prompt_may_have_special_tokens(tokenizers: Tokenizers, monkeypatch: pytest.MonkeyPatch):
    tokenizer = tokenizers["llama"]
    task = made(prompt="{source}<end><begin>")
    begin, end = (tokenizer.convert_tokens_to_ids(token) for token in ("<begin>", "<end>"))
    monkeypatch.setattr(
        "prune_cli.tasks.data_to_text.DataToText.encoded_at_once", 1
    )  # the second sources come after the first targets
    for row in task.encode(dataset((ADA, TEXTS[:1]), (ADA, TEXTS[:1])), tokenizer, training=True).to_list():
        assert row["source_ids"][-2:] == [end, begin]


@pytest.mark.parametrize(
    ("kind", "end"), [("gpt2", "\nText:"), ("llama", "\nText:"), ("t5", "\nText:</s>"), ("bart", "\nText:</s>")]
)
def test_the_facts_are_cut_and_not_the_end_of_the_prompt(tokenizers: Tokenizers, kind: str, end: str):
    tokenizer = tokenizers[kind]
    facts = " && ".join([ADA] * 10)
    task, records = made(max_length=30), dataset((facts, TEXTS[:1]), ("A | b | c", TEXTS[:1]))
    whole = made(max_length=10_000).encode(records, tokenizer, training=False)["source_ids"][:]
    cut, short = task.encode(records, tokenizer, training=False)["source_ids"][:]
    assert len(whole[0]) > 100
    assert len(cut) == 30
    assert words(tokenizer, cut).endswith(end)
    kept = next(position for position, (one, other) in enumerate(zip(cut, whole[0], strict=False)) if one != other)
    assert cut == whole[0][:kept] + whole[0][len(whole[0]) - (30 - kept) :]
    assert 30 - kept < 10  # nothing but the prompt's end
    assert short == whole[1]


def test_the_model_must_have_room_for_source_and_text(tokenizers: Tokenizers):
    tokenizer = byte_level(eos="<end>")
    tokenizer.model_max_length = 120
    records = dataset((" && ".join([ADA] * 10), TEXTS[:1]))
    assert made().encode(records, tokenizer, training=False)["length"][:] == [24]  # 120 - 96
    with pytest.raises(UserError, match=r"lower task\.max_new_tokens, or take a model with longer inputs"):
        made(max_new_tokens=118).encode(records, tokenizer, training=False)
    with pytest.raises(UserError, match=r"2 tokens are too few .*: raise task.max_length\.$"):
        made(max_length=2).encode(records, tokenizer, training=False)


@pytest.mark.parametrize("kind", KINDS)
def test_long_references_are_cut_and_closed(tokenizers: Tokenizers, kind: str):
    tokenizer, records = tokenizers[kind], dataset((ADA, [" ".join(TEXTS)]))
    whole = WEB.encode(records, tokenizer, training=True)[0]["target_ids"]
    cut = made(max_new_tokens=8).encode(records, tokenizer, training=True)[0]["target_ids"]
    assert len(whole) > 8
    assert cut == [*whole[:7], tokenizer.eos_token_id]


def test_a_tokenizer_without_an_end_is_refused():
    tokenizer = byte_level(eos="<end>")
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="task web_nlg generates texts, and the tokenizer of the model has no end-of-seq"):
        WEB.encode(dataset((ADA, TEXTS[:1])), tokenizer, training=True)


def test_encode_by_parts_and_by_threads_is_the_same(tokenizers: Tokenizers, monkeypatch: pytest.MonkeyPatch):
    records = dataset(*((ADA, TEXTS[: 1 + number % 4]) for number in range(30)))
    before = tokenizers["t5"].backend_tokenizer.to_str()
    whole = WEB.encode(records, tokenizers["t5"], training=True).to_list()
    assert len(whole) == 73
    monkeypatch.setattr("prune_cli.tasks.data_to_text.DataToText.encoded_at_once", 7)
    with ThreadPoolExecutor(4) as pool:
        for encoded in pool.map(lambda _: WEB.encode(records, tokenizers["t5"], training=True), range(8)):
            assert encoded.to_list() == whole
    assert tokenizers["t5"].backend_tokenizer.to_str() == before


# --- how facts are written

H_R_T = {"fact": "<H> {subject} <R> {predicate} <T> {object}", "between": " "}


def test_facts_stand_in_the_prompt_as_configured(tokenizers: Tokenizers):
    assert made().reading(ADA) == f"{ADA}\nText:"
    task = made(prompt="Say: {source}", **H_R_T)
    said = "Say: <H> Ada <R> birth place <T> London <H> Ada <R> occupation <T> writer"
    assert task.reading(ADA) == said
    assert task.texts(dataset((ADA, TEXTS[:1]))) == [said, TEXTS[0]]
    row = task.encode(dataset((ADA, TEXTS[:1])), tokenizers["gpt2"], training=False)[0]
    assert words(tokenizers["gpt2"], row["source_ids"]) == said
    assert E2eNlg(name="e2e_nlg", fact="{attribute}[{value}]", between=", ").reading(CAFE) == ("name[Café], area[river]\nText:")
    assert made(fact="{object} of {subject} {predicate}").reading("{object} | is | a").startswith("a of {object} is")


@pytest.mark.parametrize("training", [True, False])
def test_records_that_are_cut_are_marked(tokenizers: Tokenizers, training: bool):
    records = dataset(("A | b | c", TEXTS[:1]), (" && ".join([ADA] * 10), TEXTS[:1]))
    assert made(max_length=30).encode(records, tokenizers["gpt2"], training=training)["cut"][:] == [False, True]
    assert made(max_length=2000).encode(records, tokenizers["gpt2"], training=training)["cut"][:] == [False, False]


def test_without_generating_there_is_the_likelihood_alone():
    task = made(generate=False, primary_metric="likelihood")
    assert not task.predicts
    assert task.metrics_of_loss(math.log(4)) == {"likelihood": pytest.approx(0.25)}
    assert made().predicts


# --- scores


def test_score_compares_with_all_references():
    records = dataset((ADA, TEXTS[:2]), (CAFE, TEXTS[3:]))
    made_texts = [{"text": TEXTS[1]}, {"text": TEXTS[3]}]
    scores = WEB.score(made_texts, records, "validation")
    assert {name: round(value, 6) for name, value in scores.items() if name != "meteor"} == {
        "bleu": 100.0,
        "chrf_plus_plus": 100.0,
        "ter": 0.0,
        "rouge_l": 100.0,
    }
    assert WEB.score([{"text": TEXTS[2]}, {"text": ""}], records, "validation")["bleu"] < 50


def test_other_splits_have_keys_of_their_own():
    task, records = made(evaluation_splits=["validation", "test"]), dataset((ADA, TEXTS[:1]))
    assert "bleu" in task.score([{"text": "a"}], records, "validation")
    assert {"bleu_test", "ter_test"} <= set(task.score([{"text": "a"}], records, "test"))


def test_texts_are_the_prompts_and_all_references():
    assert WEB.texts(dataset((ADA, TEXTS[:2]), ("A | b | c", TEXTS[3:]))) == [
        f"{ADA}\nText:",
        "A | b | c\nText:",
        *TEXTS[:2],
        *TEXTS[3:],
    ]


# --- real records


@pytest.mark.parametrize(
    ("task", "rows", "examples", "references"),
    [
        pytest.param(WEB, 722, 721, 1840, id="web_nlg"),
        pytest.param(E2E, 4672, 547, 4672, id="e2e_nlg", marks=exhaustive),
    ],
)
def test_real_records(real_data: Path, task: DataToText, rows: int, examples: int, references: int):
    with (real_data / task.name / "validation.jsonl").open(encoding="utf-8") as lines:
        adapted = [task.adapt(json.loads(line)) for line in lines]
    assert len(adapted) == rows
    assert [task.adapt(row) for row in adapted] == adapted
    assert [task.adapt({"source": row["source"]})["source"] for row in adapted] == [row["source"] for row in adapted]
    records = Dataset.from_list([dict(row) for row in adapted])
    assert task.check(records) == []
    gathered = task.examples(records)
    assert len(gathered) == examples
    assert sum(map(len, gathered["references"][:])) == references

    perfect = [{"text": known[0]} for known in gathered["references"]]
    scores = task.score(perfect, gathered, "validation")
    assert (scores["bleu"], scores["chrf_plus_plus"]) == (pytest.approx(100), pytest.approx(100))
    assert (scores["ter"], scores["rouge_l"]) == (0, pytest.approx(100))
