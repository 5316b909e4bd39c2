"""Hierarchical gradient coding: a round goes on without late devices and edges; names load when first asked for."""

from typing import TYPE_CHECKING

from edgelearn_env.faces import lazy_face

if TYPE_CHECKING:
    from edgelearn_env.gradient_coding.codes.grouped_code import grouped_code
    from edgelearn_env.gradient_coding.codes.hierarchical_code import Combination, HierarchicalCode
    from edgelearn_env.gradient_coding.codes.layout import CodeLayout
    from edgelearn_env.gradient_coding.codes.patterns import answer_patterns
    from edgelearn_env.gradient_coding.codes.product_code import product_code, repetition_product_code, stored_parts
    from edgelearn_env.gradient_coding.env import GradientCodingEnv, GradientCodingVectorEnv
    from edgelearn_env.gradient_coding.hidden import Hidden
    from edgelearn_env.gradient_coding.records import Allocation
    from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
    from edgelearn_env.gradient_coding.tensor_env import GradientCodingTorch
    from edgelearn_env.gradient_coding.traces import fitted_stragglers, with_slowdowns

__all__ = [
    "Allocation",
    "CodeLayout",
    "Combination",
    "GradientCodingEnv",
    "GradientCodingScenario",
    "GradientCodingTorch",
    "GradientCodingVectorEnv",
    "Hidden",
    "HierarchicalCode",
    "answer_patterns",
    "fitted_stragglers",
    "grouped_code",
    "product_code",
    "repetition_product_code",
    "stored_parts",
    "with_slowdowns",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "Allocation": ".records",
        "CodeLayout": ".codes.layout",
        "Combination": ".codes.hierarchical_code",
        "GradientCodingEnv": ".env",
        "GradientCodingScenario": ".scenario",
        "GradientCodingTorch": ".tensor_env",
        "GradientCodingVectorEnv": ".env",
        "Hidden": ".hidden",
        "HierarchicalCode": ".codes.hierarchical_code",
        "answer_patterns": ".codes.patterns",
        "fitted_stragglers": ".traces",
        "grouped_code": ".codes.grouped_code",
        "product_code": ".codes.product_code",
        "repetition_product_code": ".codes.product_code",
        "stored_parts": ".codes.product_code",
        "with_slowdowns": ".traces",
    },
)
