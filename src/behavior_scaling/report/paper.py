"""The paper: a Markdown template, filled from numbers.json and tables/, set as PDF.

Choices: a placeholder without a number is an error that names it, so no number is typed by hand
and none is lost; a section that a study has nothing for stands under `{% if has("key") %}`, which
is true where the number, table or figure of that name says something; pandoc turns Markdown into
typst, and typst, without a date and without the machine's fonts, gives the same bytes every time;
the page's look stands in a .typ file beside the template; a template can include others that lie
below its folder, such as the discussion of one study.
"""

from __future__ import annotations

import shutil
import tempfile
import traceback
from pathlib import Path
from typing import Any

import jinja2

from behavior_scaling.files import replacing
from behavior_scaling.report import tidy
from behavior_scaling.report.claims_file import marks_text
from behavior_scaling.report.inputs import ReportError
from behavior_scaling.report.names import FIGURES, TABLES
from behavior_scaling.report.number import Numbers, load_numbers

NOTHING = ("", "0", "none", "–", "*None.*")  # texts of what a study does not have


class Scope:
    """Dotted names for the template: `{{ runs.total }}` looks up the number 'runs.total'."""

    def __init__(self, texts: dict[str, str], prefix: str = "") -> None:
        self._texts, self._prefix = texts, prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        key = f"{self._prefix}.{name}" if self._prefix else name
        if key in self._texts:
            return self._texts[key]
        if any(other.startswith(f"{key}.") for other in self._texts):
            return Scope(self._texts, key)
        raise ReportError(f"placeholder {{{{ {key} }}}} has no number, table or figure")

    def __str__(self) -> str:
        raise ReportError(f"placeholder {{{{ {self._prefix} }}}} is only the start of a name")


def make_paper(results_dir: Path, template: Path, out: Path) -> Path:
    """Fill the template and write the PDF; returns its path.

    Args:
        results_dir: with numbers.json, tables/ and figures/.
        template: Markdown with placeholders; the page's look in the same name with .typ.
        out: the PDF.

    Raises:
        ReportError: a placeholder, table or figure is missing, or the text cannot be set.
    """
    import pypandoc
    import typst

    text = render(results_dir, template)
    look = template.with_suffix(".typ")
    if not look.is_file():
        raise ReportError(f"{look}: missing; the look of the page stands beside the template")
    body = pypandoc.convert_text(text, "typst", format="markdown", extra_args=["--wrap=none"])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "paper.typ").write_text(look.read_text() + "\n" + body)
        for name in FIGURES:
            figure = results_dir / "figures" / f"{name}.svg"
            if not figure.is_file():
                raise ReportError(f"{figure}: missing; draw the figures first")
            shutil.copy(figure, root / figure.name)
        try:
            pdf = typst.compile(
                root / "paper.typ", format="pdf", ignore_system_fonts=True, timestamp=0
            )
        except typst.TypstError as error:
            raise ReportError(f"{template}: typst cannot set the paper: {error}") from error
    with replacing(out) as temporary:
        temporary.write_bytes(pdf)
    return out


def render(results_dir: Path, template: Path) -> str:
    """The template's Markdown with every placeholder filled.

    Raises:
        ReportError: naming the placeholder, the file and its line.
    """
    texts = _texts(load_numbers(_existing(results_dir / "numbers.json", "numbers")), results_dir)
    environment = jinja2.Environment(  # noqa: S701 (Markdown: HTML escapes would be printed)
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    names = {key.split(".")[0] for key in texts}
    scope = Scope(texts)
    given = {name: getattr(scope, name) for name in names}
    try:
        return environment.get_template(template.name).render(
            given, has=lambda key: texts.get(key, "") not in NOTHING
        )
    except (ReportError, jinja2.TemplateError) as error:
        file, line = _place(error, template)
        raise ReportError(f"{file}, line {line}: {error}") from error


def _place(error: Exception, template: Path) -> tuple[str, int]:
    """File and line that an error comes from: of the template, or of what it includes."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.filename or str(template), error.lineno
    folder = template.parent.resolve()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.suffix == ".md" and folder in file.resolve().parents:
            return frame.filename, frame.lineno or 0
    return str(template), 0


def _texts(numbers: Numbers, results_dir: Path) -> dict[str, str]:
    texts = {key: tidy.escape(number["text"]) for key, number in numbers.items()}
    for name in TABLES:
        path = _existing(results_dir / "tables" / f"{name}.md", "tables")
        texts[f"tables.{name}"] = path.read_text().strip()
    texts["claims.marks"] = marks_text()
    return texts | {f"figures.{name}": f"{name}.svg" for name in FIGURES}


def _existing(path: Path, step: str) -> Path:
    if not path.is_file():
        raise ReportError(f"{path}: missing; run `behavior-scaling {step}` first")
    return path
