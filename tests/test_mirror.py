"""Every module has a test module of its name in the mirrored folder, or one that is known to cover it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "crossinit_batch"

COVERED_BY: dict[str, str] = {
    "__main__": "tests/end_to_end/test_commands.py",
    "analysis.analyze": "tests/end_to_end/test_analyze.py",
    "analysis.chart_parts": "tests/analysis/test_charts.py",
    "analysis.figures": "tests/end_to_end/test_analyze.py",
    "analysis.learned": "tests/end_to_end/test_analyze.py",
    "analysis.measured": "tests/analysis/test_measures.py",
    "analysis.page": "tests/end_to_end/test_analyze.py",
    "analysis.word_pictures": "tests/end_to_end/test_analyze.py",
    "cli": "tests/end_to_end/test_commands.py",
    "commands.init": "tests/end_to_end/test_commands.py",
    "commands.inspect": "tests/end_to_end/test_commands.py",
    "commands.options": "tests/end_to_end/test_commands.py",
    "commands.research": "tests/end_to_end/test_study.py",
    "commands.runs": "tests/end_to_end/test_commands.py",
    "console.bars": "tests/console/test_reporter.py",
    "console.terminal": "tests/end_to_end/test_commands.py",
    "demo.drawing.accessories": "tests/demo/drawing/test_picture.py",
    "demo.drawing.anatomy": "tests/demo/drawing/test_landmarks.py",
    "demo.drawing.backgrounds": "tests/demo/drawing/test_picture.py",
    "demo.drawing.canvas": "tests/demo/drawing/test_picture.py",
    "demo.drawing.features": "tests/demo/drawing/test_picture.py",
    "demo.drawing.hair": "tests/demo/drawing/test_picture.py",
    "demo.drawing.hair_shapes": "tests/demo/drawing/test_picture.py",
    "demo.drawing.head": "tests/demo/drawing/test_picture.py",
    "demo.drawing.palette": "tests/demo/drawing/test_picture.py",
    "demo.drawing.scene": "tests/demo/drawing/test_picture.py",
    "demo.drawing.styles": "tests/demo/drawing/test_picture.py",
    "demo.drawing.view": "tests/demo/drawing/test_picture.py",
    "demo.exam_names": "tests/test_world.py",
    "demo.exam_run": "tests/demo/test_exam.py",
    "demo.judges.demo_judges": "tests/demo/training/test_train.py",
    "demo.judges.export": "tests/demo/training/test_train.py",
    "demo.judges.tower": "tests/demo/training/test_train.py",
    "demo.judges.training": "tests/demo/training/test_train.py",
    "demo.training.first_weights": "tests/demo/training/test_train.py",
    "demo.training.pipeline": "tests/demo/training/test_train.py",
    "demo.training.recipe": "tests/demo/training/test_train.py",
    "demo.training.stage_notes": "tests/demo/training/test_train.py",
    "demo.training.train_autoencoder": "tests/demo/training/test_train.py",
    "demo.training.train_text_encoder": "tests/demo/training/test_train.py",
    "demo.training.train_unet": "tests/demo/training/test_train.py",
    "engines.dispatch": "tests/end_to_end/test_workers.py",
    "engines.local": "tests/end_to_end/test_run.py",
    "engines.messages": "tests/engines/test_pool.py",
    "engines.process_start": "tests/end_to_end/test_workers.py",
    "engines.serve": "tests/end_to_end/test_workers.py",
    "engines.worker_process": "tests/engines/test_pool.py",
    "evaluation.faces": "tests/end_to_end/test_evaluate.py",
    "evaluation.judges": "tests/end_to_end/test_evaluate.py",
    "evaluation.networks": "tests/evaluation/test_detection.py",
    "evaluation.similarity": "tests/end_to_end/test_evaluate.py",
    "methods.artifact": "tests/end_to_end/test_render.py",
    "methods.celeb_basis.method": "tests/methods/celeb_basis/test_basis.py",
    "methods.denoising": "tests/methods/embedding/test_optimization.py",
    "methods.embedding.artifact": "tests/end_to_end/test_render.py",
    "methods.embedding.learner": "tests/end_to_end/test_run.py",
    "methods.embedding.losses": "tests/methods/embedding/test_scale_orientation.py",
    "methods.embedding.method": "tests/end_to_end/test_run.py",
    "methods.embedding.settings": "tests/manifest/test_methods.py",
    "methods.learner": "tests/end_to_end/test_run.py",
    "methods.method": "tests/plan/test_estimate.py",
    "methods.planned": "tests/plan/test_imported.py",
    "methods.registry": "tests/plan/test_plan.py",
    "model.components": "tests/model/test_base_model.py",
    "model.conditioning": "tests/model/test_base_model.py",
    "model.counters": "tests/benchmarks/test_scaling.py",
    "model.libraries": "tests/model/test_base_model.py",
    "plan.digests": "tests/plan/test_scores.py",
    "plan.frozen": "tests/plan/test_plan.py",
    "plan.judges": "tests/end_to_end/test_evaluate.py",
    "plan.make": "tests/plan/test_plan.py",
    "plan.shard": "tests/engines/test_launcher.py",
    "plan.task": "tests/end_to_end/test_run.py",
    "report.failures": "tests/end_to_end/test_evaluate.py",
    "report.html": "tests/report/scores/test_write.py",
    "report.markdown_text": "tests/report/scores/test_write.py",
    "report.outcomes": "tests/report/test_write.py",
    "report.scores.charts": "tests/report/scores/test_write.py",
    "report.scores.csv": "tests/report/scores/test_write.py",
    "report.scores.markdown": "tests/report/scores/test_write.py",
    "report.scores.page": "tests/report/scores/test_write.py",
    "report.scores.provenance": "tests/report/scores/test_write.py",
    "report.scores.published": "tests/report/scores/test_comparison.py",
    "report.scores.score_table": "tests/report/scores/test_comparison.py",
    "report.write_gallery": "tests/report/test_write.py",
    "runner.announce": "tests/end_to_end/test_run.py",
    "runner.close": "tests/end_to_end/test_shards.py",
    "runner.execution": "tests/end_to_end/test_shards.py",
    "runner.freeze": "tests/end_to_end/test_shards.py",
    "runner.resolve": "tests/end_to_end/test_compute.py",
    "runner.run": "tests/end_to_end/test_run.py",
    "runner.shard_records": "tests/end_to_end/test_shards.py",
    "settings": "tests/manifest/test_evaluation.py",
    "storage.addresses": "tests/storage/test_store.py",
    "storage.cache": "tests/methods/embedding/test_initial_vector.py",
    "storage.object_files": "tests/storage/test_store.py",
    "study.answers": "tests/end_to_end/test_study.py",
    "study.key": "tests/end_to_end/test_study.py",
    "study.make": "tests/end_to_end/test_study.py",
    "study.page": "tests/end_to_end/test_study.py",
    "study.questions": "tests/end_to_end/test_study.py",
    "worker.artifacts": "tests/end_to_end/test_render.py",
    "worker.checkpoint": "tests/end_to_end/test_resume.py",
    "worker.context": "tests/end_to_end/test_run.py",
    "worker.draw": "tests/end_to_end/test_saving.py",
    "worker.learn": "tests/end_to_end/test_run.py",
    "worker.model_setup": "tests/end_to_end/test_compute.py",
    "worker.save": "tests/end_to_end/test_saving.py",
    "worker.score": "tests/end_to_end/test_evaluate.py",
    "worker.worker": "tests/end_to_end/test_shards.py",
}
"""Modules without a test module of their name, and what drives them instead, mostly through those who use them."""


def has_code(file: Path) -> bool:
    """Whether a module has anything to test: an `__init__.py` is mostly a docstring, and a version at the top."""
    if file.name != "__init__.py" or file.parent == PACKAGE:
        return file.name != "__init__.py"
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) for node in body)


def mirror_of(file: Path) -> Path:
    """The test module that has a module's name; a package's own code is tested beside the package's folder."""
    part = file.relative_to(PACKAGE).with_suffix("")
    part = part.parent if part.name == "__init__" else part
    return ROOT / "tests" / part.parent / f"test_{part.name}.py"


def name_of(file: Path) -> str:
    """A module's dotted name below the package."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): mirror_of(file) for file in sorted(PACKAGE.rglob("*.py")) if has_code(file)}


def test_every_module_has_a_test_of_its_name_or_one_that_covers_it() -> None:
    bare = [
        f"{name}: neither {mirror.relative_to(ROOT)} nor an entry in COVERED_BY that names what covers it"
        for name, mirror in MODULES.items()
        if not mirror.is_file() and name not in COVERED_BY
    ]
    assert not bare, "\n".join(bare)


def test_no_entry_is_superfluous_and_all_that_is_named_exists() -> None:
    wrong = [f"{name}: no such module" for name in COVERED_BY if name not in MODULES]
    wrong += [
        f"{name}: superfluous, {mirror.relative_to(ROOT)} exists"
        for name, mirror in MODULES.items()
        if name in COVERED_BY and mirror.is_file()
    ]
    wrong += [f"{name}: no {test}" for name, test in COVERED_BY.items() if not (ROOT / test).is_file()]
    assert not wrong, "\n".join(wrong)
    assert list(COVERED_BY) == sorted(COVERED_BY)
