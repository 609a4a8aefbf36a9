"""The one kind of error that a user can mend, and the one way in which a signal ends a run."""


class UserError(Exception):
    """Something the user gave cannot work; the message says what, where it was set, and the remedy.

    The command line prints the message without a traceback and exits with code 2.
    """

    def __init__(self, *problems: str) -> None:
        """Collect every problem that was found.

        Args:
            problems: One sentence or two each: what is wrong, where it was set, what to do.
        """
        super().__init__("\n".join(problems))
        self.problems = problems


class Held(UserError):
    """Another process is at the very same run; a multirun comes back to it."""


class Diverged(UserError):
    """Training gave numbers that are none; its last sound checkpoint stays.

    The command line exits with code 3, so that a sweep can tell it from input that cannot work.
    """


class Stopped(KeyboardInterrupt):
    """A signal stopped the run, as Ctrl-C does; nothing is lost but the work since the last checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.exit_code = 128 + number
        """What shells give for it."""


class Lost(RuntimeError):
    """Another process of the same run has ended, without which this one cannot go on; that one says why."""


class Failed(RuntimeError):
    """A process that was started for a run has failed, and said why.

    Attributes:
        problems: What it said.
        exit_code: With which it ended.
    """

    def __init__(self, problems: tuple[str, ...], exit_code: int) -> None:
        super().__init__("\n".join(problems))
        self.problems, self.exit_code = problems, exit_code
