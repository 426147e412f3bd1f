"""The expression language and templates (CONTRACT.md section 4).

Owns reading `${...}` at definition time and evaluating it at run time. Two errors leave this package:
`ExpressionSyntaxError` when a definition is read, `cordum.errors.ExpressionError` when a value is wanted. What a lazy
scope raises on its own account passes through: a store that is away must not be taken for a wrong expression.
"""

from __future__ import annotations

from cordum.domain.expressions.budget import MAX_STEPS, MAX_TEXT, MAX_VALUES
from cordum.domain.expressions.expression import Expression
from cordum.domain.expressions.parser import MAX_DEPTH
from cordum.domain.expressions.template import Template
from cordum.domain.expressions.tokens import MAX_LENGTH, ExpressionSyntaxError
from cordum.domain.expressions.values import JSON, MAX_VALUE_DEPTH, Value

__all__ = [
    # what definitions are made of
    "Expression",
    "Template",
    # what goes wrong while one is read
    "ExpressionSyntaxError",
    # limits of the text
    "MAX_LENGTH",
    "MAX_DEPTH",
    # limits of one evaluation
    "MAX_STEPS",
    "MAX_TEXT",
    "MAX_VALUES",
    "MAX_VALUE_DEPTH",
    # values
    "JSON",
    "Value",
]
