"""Descriptions of fields in a published schema: the sentence that stands behind each in the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class Described:
    """Beside `BaseModel`: what pydantic's `use_attribute_docstrings` says, read when a schema is asked for.

    pydantic reads the source whenever a class is made, which was a twelfth of what a first call takes.
    """

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(core_schema)
        fields = handler.resolve_ref_schema(made).get("properties", {})
        for kind in cls.__mro__:
            for name, sentence in _sentences(kind) if issubclass(kind, Described) else ():
                if name in fields:
                    fields[name].setdefault("description", sentence)
        return made


def _sentences(kind: type) -> Iterator[tuple[str, str]]:
    """The fields of a class that have a sentence behind them, with it."""
    import ast
    import inspect
    from itertools import pairwise
    from textwrap import dedent

    (made,) = ast.parse(dedent(inspect.getsource(kind))).body
    assert isinstance(made, ast.ClassDef)
    for field, after in pairwise(made.body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
            case _:
                pass
