"""The document of an outlook's live scores."""

from __future__ import annotations

from gapcast.core.learning.scores.summary import ALL_TIME, LAST_DAY
from gapcast.core.outlook.documents.outlook_document import outlook_scores_document
from gapcast.core.outlook.scores.scores import LeadScore, OutlookScores
from gapcast.http.schemas.score_schemas import OutlookScoresDocument

SCORED = LeadScore(5, 1_440, 0.1, 0.2, -0.0100004, 0.2, 0.3, 0.4, 0.5, 0.06, 0.9, 0.8)


def test_scores_document_has_a_list_for_each_figure() -> None:
    scores = OutlookScores((SCORED, LeadScore(60, 0)), (LeadScore(5, 0), SCORED))
    document = outlook_scores_document({LAST_DAY: scores, ALL_TIME: scores})
    assert list(document) == ["last_day", "all_time"]
    assert document["all_time"]["point"] == {
        "lead_min": [5, 60], "n": [1_440, 0], "mse_kw2": [0.1, None], "mae_kw": [0.2, None], "bias_kw": [-0.01, None],
        "skill": [0.5, None], "window_skill": [0.75, None], "pinball_kw": [0.06, None], "coverage": [0.9, None],
        "width_kw": [0.8, None],
    }  # fmt: skip
    assert document["all_time"]["mean"]["n"] == [0, 1_440]
    assert OutlookScoresDocument.model_validate(document).model_dump() == document
