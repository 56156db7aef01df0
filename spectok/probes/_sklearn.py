"""Import of scikit-learn, with one sentence where it is missing."""

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.metrics import pairwise_distances_chunked, r2_score
    from sklearn.model_selection import (
        GroupShuffleSplit,
        ShuffleSplit,
        StratifiedGroupKFold,
        StratifiedShuffleSplit,
    )
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler, normalize
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise ImportError('probes need scikit-learn: pip install ".[probes]" in a checkout') from error

__all__ = [
    "BaseEstimator",
    "ClassifierMixin",
    "GroupShuffleSplit",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "LogisticRegression",
    "NearestNeighbors",
    "Pipeline",
    "RegressorMixin",
    "RidgeCV",
    "ShuffleSplit",
    "StandardScaler",
    "StratifiedGroupKFold",
    "StratifiedShuffleSplit",
    "TransformerMixin",
    "check_is_fitted",
    "check_random_state",
    "compute_sample_weight",
    "make_pipeline",
    "normalize",
    "pairwise_distances_chunked",
    "r2_score",
]
