"""The judges of a plan: settings with the digests of the files that were found for them."""

from __future__ import annotations

from dataclasses import asdict

from crossinit_batch.evaluation.judges import JudgeFiles, check_judges, judge_files
from crossinit_batch.events import Note, Reporter
from crossinit_batch.plan.plan import PlannedJudges
from crossinit_batch.settings import EvaluationSettings


def planned_judges(settings: EvaluationSettings | None, *, fetch: bool = True) -> PlannedJudges | None:
    """What the judges of these settings are, None where there are none; see `judge_files`."""
    if settings is None or (settings.identity is None and settings.prompt is None):
        return None
    return PlannedJudges(settings=settings, **asdict(judge_files(settings, fetch=fetch)))


def fetched_judges(settings: EvaluationSettings | None, report: Reporter) -> PlannedJudges | None:
    """The same before a run: a CLIP model that is not here is reported and fetched, and networks are opened."""
    judges = planned_judges(settings, fetch=False)
    if judges is not None and judges.clip == "unknown" and judges.settings.prompt is not None:
        report(Note(f"fetching the prompt judge {judges.settings.prompt.model} from the hub"))
        judges = planned_judges(settings)
    if judges is not None:
        check_judges(judges.settings, files_of(judges))
    return judges


def files_of(judges: PlannedJudges) -> JudgeFiles:
    """The files that were planned."""
    return JudgeFiles(judges.detector, judges.recogniser, judges.clip)
