"""Services of master.cf and settings as ``postconf`` prints them: columns, ``{ }`` and folded lines."""

from __future__ import annotations

from angarium.config.master_cf import MasterService

LINE_WIDTH = 80
INDENT = "    "
_SPACES = str.maketrans("\t\r\n", "   ")
_COLUMNS = (11, 17, 25, 33, 41, 49, 57)


def words(text: str) -> list[str]:
    """Split at ASCII white space alone."""
    return [word for word in text.translate(_SPACES).split(" ") if word]


def on_one_line(text: str) -> str:
    """With single blanks between the words: a value is shown so, however it was laid out in the file."""
    return " ".join(words(text))


def folded(text: str) -> str:
    """Fold at words, as ``postconf -f`` does."""
    lines = [""]
    for word in words(text):
        if not lines[-1]:
            lines[-1] = word
        elif len(lines[-1]) + len(word) + 1 > LINE_WIDTH:
            lines.append(f"{INDENT}{word}")
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


def service_line(entry: MasterService, *, fold: bool = False) -> str:
    """A whole service, in the columns of the shipped master.cf; folded, an option a line."""
    line = entry.fields[0]
    for column, text in zip(_COLUMNS, entry.fields[1:], strict=True):
        line = (line.ljust(column) if len(line) < column else f"{line} ") + text
    width = len(line)
    in_options, after_option, new_line = True, False, False
    for argument in entry.arguments:
        in_options = in_options and (after_option or argument.startswith("-"))
        bare = argument and not any(char in argument for char in " \t")
        text = argument if bare or (in_options and not after_option) else f"{{{argument}}}"
        new_line = new_line or (in_options and not after_option and argument == "-o")
        full = width + len(argument) + 1 >= LINE_WIDTH and not (in_options and after_option)
        if fold and (new_line or full):
            line += f"\n{INDENT}{text}"
            width = len(INDENT) + len(text)
        else:
            line += f" {text}"
            width += len(text) + 1
        new_line = in_options and after_option  # a setting has its line to itself
        after_option = in_options and argument == "-o" and not after_option
    return line
