"""From test items to figures: what a run learned, kept and lost, and how sure that is.

A :class:`ScoreMatrix` holds every task after every stage, item by item.  The figures are functions
of it, each with its formula and source; :func:`interval` puts limits on any of them, and
:func:`summarise` collects them all.  :func:`find_flips` names the items behind a change.

What does not exist raises :class:`~forgetless.errors.NotMeasured` with the reason; it is never 0 or
NaN.  Needs NumPy and SciPy only.
"""

from forgetless.metrics.areas import mean_change
from forgetless.metrics.bootstrap import Interval, cell_intervals, interval
from forgetless.metrics.cells import Cell, CellMean, PairedItems
from forgetless.metrics.certificate import Word, certify, word_for
from forgetless.metrics.comparisons import average_intransigence, gap_closed, intransigence
from forgetless.metrics.evidence import Evidence, by_reading, count_null_flips
from forgetless.metrics.figures import (
    average_accuracy,
    backward_transfer,
    forward_transfer,
    learned_score,
    learning_accuracy,
)
from forgetless.metrics.flips import Drop, Flips, find_flips, largest_drops
from forgetless.metrics.floor import chance_of_choosing
from forgetless.metrics.judging import judge
from forgetless.metrics.limits import IntervalMethod, hidden_loss
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.matrix_json import matrix_from_json, matrix_to_json
from forgetless.metrics.multiplicity import holm
from forgetless.metrics.pairing import Formula, leave_out, restrict_to_common_items
from forgetless.metrics.power import detectable_loss, items_needed
from forgetless.metrics.retention import (
    average_forgetting,
    average_retention_change,
    best_earlier,
    forgetting,
    retention_change,
)
from forgetless.metrics.scores import Groups, Scores, ScoreStack, TaskColumn, Unit
from forgetless.metrics.sign_flip import mcnemar, sign_flip
from forgetless.metrics.summary import Figure, Summary, TaskSummary, estimate, summarise
from forgetless.metrics.verdict import Nature, NullFlips, Reading, TaskVerdict, Verdict

__all__ = [
    "Cell",
    "CellMean",
    "Drop",
    "Evidence",
    "Figure",
    "Flips",
    "Formula",
    "Groups",
    "Interval",
    "IntervalMethod",
    "Nature",
    "NullFlips",
    "PairedItems",
    "Reading",
    "ScoreMatrix",
    "ScoreStack",
    "Scores",
    "Summary",
    "TaskColumn",
    "TaskSummary",
    "TaskVerdict",
    "Unit",
    "Verdict",
    "Word",
    "average_accuracy",
    "average_forgetting",
    "average_intransigence",
    "average_retention_change",
    "backward_transfer",
    "best_earlier",
    "by_reading",
    "cell_intervals",
    "certify",
    "chance_of_choosing",
    "count_null_flips",
    "detectable_loss",
    "estimate",
    "find_flips",
    "forgetting",
    "forward_transfer",
    "gap_closed",
    "hidden_loss",
    "holm",
    "interval",
    "intransigence",
    "items_needed",
    "judge",
    "largest_drops",
    "learned_score",
    "learning_accuracy",
    "leave_out",
    "matrix_from_json",
    "matrix_to_json",
    "mcnemar",
    "mean_change",
    "restrict_to_common_items",
    "retention_change",
    "sign_flip",
    "summarise",
    "word_for",
]
