"""Numbers for people."""

from __future__ import annotations


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction in percent, rounded, without the sign; only a fraction of 1 says 100.

    >>> percent(0.90000002, 2), percent(0.99999), percent(1.0)
    ('90.00', '99.9', '100.0')
    """
    text = f"{100 * fraction:.{digits}f}"
    return f"{100 - 10**-digits:.{digits}f}" if float(text) == 100 and fraction < 1 else text


def duration(seconds: float) -> str:
    """Seconds in the two units that matter.

    >>> duration(9.94), duration(1473.2), duration(7322)
    ('9.9 s', '24 min 33 s', '2 h 02 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def counted(count: int, what: str) -> str:
    """How many there are of something.

    >>> counted(1, "run"), counted(2_000, "run")
    ('1 run', '2,000 runs')
    """
    return f"{count:,} {what}{'s' * (count != 1)}"


def size(count: float) -> str:
    """Bytes in decimal units, three digits or more.

    >>> size(999), size(90_868_376), size(1_930_000_000)
    ('999 B', '90.9 MB', '1.93 GB')
    """
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def compared(count: float, other: float) -> str:
    """How large something is beside another, to put before that.

    >>> compared(10, 35), compared(30, 10), compared(101, 100)
    ('3.5 times smaller than', '3.0 times larger than', 'about as large as')
    """
    if max(count, other) < 1.05 * min(count, other):
        return "about as large as"
    return f"{other / count:.1f} times smaller than" if count < other else f"{count / other:.1f} times larger than"


def four_digits(value: float | None) -> str:
    """A metric; one that is no number has no value.

    >>> four_digits(0.5), four_digits(None)
    ('0.5000', 'none')
    """
    return "none" if value is None else f"{value:.4f}"
