"""``semiseg schema``."""

from pathlib import Path
from typing import Annotated

import typer


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; by default the schema is printed.")
    ] = None,
    study: Annotated[bool, typer.Option("--study", help="Print the schema of study recipes.")] = False,
) -> None:
    """Print the JSON Schema of recipes, with the options of all installed components.

    Editors with a YAML language server complete and check recipes that refer to the file in their first line:

    # yaml-language-server: $schema=recipe.schema.json

    Example: semiseg schema -o recipe.schema.json
    """
    import json

    from semiseg.io.atomic import write_text
    from semiseg.recipe.jsonschema import recipe_schema
    from semiseg.study.schema import study_schema

    def say(text: str) -> None:
        typer.echo(f"Note: {text}", err=True)

    text = json.dumps(study_schema() if study else recipe_schema(say), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)
        typer.echo(f"Wrote {output}. To use it in an editor, begin a recipe with this line:")
        typer.echo(f"# yaml-language-server: $schema={output.absolute()}")
