"""How groups of commands show themselves: whole sentences, and an example under each command's options."""

import re
from typing import Any

from typer.core import TyperGroup

from voxelsmith.commands.wording.examples import EXAMPLES

_END = re.compile(r"(?<!\bal)\.(?:\s|$)")
"""Of a sentence; "et al." is none."""


class CommandGroup(TyperGroup):
    """A group that lists its commands by their whole first sentence, over several lines where it is long."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """As click's, with the command's example at the end of its help."""
        command = super().get_command(ctx, cmd_name)
        words = " ".join([*_words(ctx), cmd_name])
        if command is not None and not command.epilog and words in EXAMPLES:
            command.epilog = f"Example:\n\n\b\n  {EXAMPLES[words]}"
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """As click's, which cuts at the first full stop and at the line's end."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, first_sentence(command.help or "")) for name, command in found if not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def first_sentence(text: str) -> str:
    """Of a docstring, on one line and without its full stop."""
    return _END.split(" ".join(text.split("\n\n")[0].split()), maxsplit=1)[0]


def _words(ctx: Any) -> list[str]:
    """The names of the groups above a command, without the program's."""
    names: list[str] = []
    while ctx is not None and ctx.parent is not None:
        names.insert(0, str(ctx.info_name))
        ctx = ctx.parent
    return names
