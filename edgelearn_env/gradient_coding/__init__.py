"""Hierarchical gradient coding: a round goes on without late devices and edges; names load when first asked for."""

from typing import TYPE_CHECKING

from edgelearn_env.faces import lazy_face

if TYPE_CHECKING:
    from edgelearn_env.gradient_coding.codes.grouped_code import grouped_code
    from edgelearn_env.gradient_coding.codes.hierarchical_code import Combination, HierarchicalCode
    from edgelearn_env.gradient_coding.codes.layout import CodeLayout
    from edgelearn_env.gradient_coding.codes.patterns import answer_patterns
    from edgelearn_env.gradient_coding.codes.product_code import product_code, repetition_product_code, stored_parts

__all__ = [
    "CodeLayout",
    "Combination",
    "HierarchicalCode",
    "answer_patterns",
    "grouped_code",
    "product_code",
    "repetition_product_code",
    "stored_parts",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "CodeLayout": ".codes.layout",
        "Combination": ".codes.hierarchical_code",
        "HierarchicalCode": ".codes.hierarchical_code",
        "answer_patterns": ".codes.patterns",
        "grouped_code": ".codes.grouped_code",
        "product_code": ".codes.product_code",
        "repetition_product_code": ".codes.product_code",
        "stored_parts": ".codes.product_code",
    },
)
