"""Captions and prompts of the small world: its language."""

from __future__ import annotations

import random

import pytest

from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.drawing.scene import BACKGROUNDS, EXPRESSIONS, Scene
from crossinit_batch.demo.training.captions import caption_of, caption_words, description_of, prompt_of
from crossinit_batch.demo.training.dataset import famous_names
from crossinit_batch.demo.training.vocabulary import demo_tokenizer
from crossinit_batch.prompts import TRAINING_TEMPLATES, problem_of


@pytest.mark.parametrize(
    ("scene", "prompt"),
    [
        (Scene(), "a photo of a {} person"),
        (Scene(expression="sad"), "a photo of a {} person with a sad expression"),
        (
            Scene(accessory="red hat", background="snow"),
            "a photo of a {} person wearing a red hat in the snow",
        ),
        (
            Scene(accessory="space helmet", background="space"),
            "a photo of a {} person wearing a scifi spacesuit in space",
        ),
        (Scene(style="latte art"), "a {} person latte art"),
    ],
)
def test_prompts_say_what_a_scene_has(scene: Scene, prompt: str) -> None:
    assert prompt_of(scene) == prompt
    assert problem_of(prompt) is None


def test_company_is_named_in_a_prompt() -> None:
    assert prompt_of(Scene(), "Anne Hathaway") == "a photo of a {} person and Anne Hathaway"


def test_captions_name_the_person_and_all_that_is_not_plain() -> None:
    rng = random.Random(1)
    for _ in range(300):
        scene = Scene.random(rng, company=0)
        caption = caption_of(scene, "Emma Stone", None, Person.random(rng), rng)
        assert "Emma Stone" in caption and "{}" not in caption
        if scene.expression != "neutral":
            assert scene.expression in caption
        unsaid = set(EXPRESSIONS[1:]) - {scene.expression}
        assert not unsaid & set(caption.split())
        if scene.background == "plain":
            assert not {"beach", "desert", "library", "underwater"} & set(caption.split())


def test_the_templates_of_personalization_are_in_the_language() -> None:
    rng = random.Random(2)
    captions = {caption_of(Scene(), "Emma Stone", None, Person.random(rng), rng) for _ in range(3000)}
    templates = {template.replace("{}", "Emma Stone") for template in TRAINING_TEMPLATES["face"]}
    assert templates <= captions


def test_strangers_have_no_name_but_sometimes_a_description() -> None:
    rng = random.Random(3)
    person = Person.random(rng)
    captions = {caption_of(Scene(), None, None, person, rng) for _ in range(100)}
    assert any(description_of(person) in caption for caption in captions)
    assert "a photo of a person" in captions


def test_every_word_of_every_caption_is_one_token() -> None:
    tokenizer = demo_tokenizer()
    ordinary = [word for first, last in famous_names()[:40] for word in (first, last)]
    for word in [*caption_words(), *ordinary, *BACKGROUNDS[1].split()]:
        assert len(tokenizer.tokenize(word)) == 1, word
