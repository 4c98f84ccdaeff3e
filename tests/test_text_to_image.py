"""Pictures of sentences, by a tiny pipeline of a real diffusers class."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from guardrail_stub import StubChecker
from image_pipeline_files import write_text_to_image

from generator import text_to_image
from generator.sizes import MINI
from generator.teachers.safety import Guardrail
from generator.text_to_image import ImageSettings, imagine_picture
from lyra_sim.errors import LyraSimError

SIZE = dataclasses.replace(MINI, name="full", height=64, width=112)
QUICK = ImageSettings(steps=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_text_to_image(tmp_path_factory.mktemp("model")))


def make(model: str, prompt: str = "hall", *, seed: int = 3, settings: ImageSettings = QUICK) -> np.ndarray:
    return imagine_picture(prompt, size=SIZE, seed=seed, model=model, settings=settings).rgb


def test_a_sentence_becomes_a_picture_of_the_size(model: str) -> None:
    """The picture has the frames' resolution, and its provenance says by whom and of what it was made."""
    picture = imagine_picture("a hall with shelves.", size=SIZE, seed=3, model=model, settings=QUICK)
    assert picture.rgb.shape == (64, 112, 3)
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.std() > 1
    assert picture.source["pipeline"] == "StableDiffusionPipeline"
    asked = str(picture.source["asked"])
    assert "photograph of a hall with shelves," in asked
    assert "eye level" in asked
    assert "no people" in asked
    assert picture.source["licence"] == "not known"
    assert picture.source["num_inference_steps"] == 2


def test_seed_prompt_and_negative_prompt_all_count(model: str) -> None:
    """The same input gives the same bytes; each of the three changes the picture."""
    first = make(model)
    assert np.array_equal(first, make(model))
    assert not np.array_equal(first, make(model, seed=4))
    assert not np.array_equal(first, make(model, prompt="shed"))
    without = dataclasses.replace(QUICK, negative="")
    assert not np.array_equal(first, make(model, settings=without))


class Fake:
    """A pipeline without negative prompts, which refuses or makes what it is told to."""

    def __init__(self, *, refuses: bool = False, side: int = 64) -> None:
        self.refuses, self.side = refuses, side

    def __call__(self, prompt: str, height: int, width: int, generator: Any, output_type: str) -> Any:
        images = np.full((1, self.side, width, 3), 0.5)
        return SimpleNamespace(images=images, nsfw_content_detected=[self.refuses])


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (Fake(refuses=True), "safety checker of owner/x refuses"),
        (Fake(side=512), "112x512 px instead of 112x64"),
    ],
)
def test_refusals_and_wrong_sizes_are_named(
    fake: Fake, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that the model's own checker blacked out, or of another size, never becomes a scene."""
    monkeypatch.setattr(text_to_image, "load_text_to_image", lambda *_: fake)
    with pytest.raises(LyraSimError, match=message):
        imagine_picture("hall", size=SIZE, seed=0, model="owner/x")


def test_models_without_negative_prompts_are_not_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the pipeline's signature knows is passed, and the provenance lists only that."""
    monkeypatch.setattr(text_to_image, "load_text_to_image", lambda *_: Fake())
    picture = imagine_picture("hall", size=SIZE, seed=0, model="owner/x", settings=ImageSettings(steps=9))
    assert "negative_prompt" not in picture.source
    assert "num_inference_steps" not in picture.source
    assert (picture.rgb == 128).all()


def test_the_guardrail_sees_prompt_and_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused prompt loads no model, a refused picture is an error, and what passes is what the checker gives."""
    loaded: list[str] = []
    monkeypatch.setattr(text_to_image, "load_text_to_image", lambda *_: loaded.append("model") or Fake())

    def guard(checker: StubChecker) -> None:
        monkeypatch.setattr(text_to_image, "load_guardrail", lambda _: Guardrail(checker, "on"))

    guard(StubChecker())
    with pytest.raises(LyraSimError, match="refuses the prompt"):
        imagine_picture("weapons", size=SIZE, seed=0, model="owner/x")
    assert not loaded
    picture = imagine_picture("hall", size=SIZE, seed=0, model="owner/x")
    assert (picture.rgb == 64).all()
    assert picture.source["safety_checker"] == "on"
    guard(StubChecker(refuses_videos=True))
    with pytest.raises(LyraSimError, match="refuses the video or picture"):
        imagine_picture("hall", size=SIZE, seed=0, model="owner/x")


def test_models_that_cannot_be_used_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, an entry that is not here, and a folder that diffusers does not know, in one line each."""
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(tmp_path))
    with pytest.raises(LyraSimError, match="has no text-to-image model"):
        imagine_picture("hall", size=MINI, seed=0)
    with pytest.raises(LyraSimError, match="weights pull z-image"):
        imagine_picture("hall", size=SIZE, seed=0, model="z-image")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model_index.json").write_text('{"_class_name": "Gen3CPipeline"}')
    with pytest.raises(LyraSimError, match="cannot be loaded as a text-to-image pipeline"):
        imagine_picture("hall", size=SIZE, seed=0, model=str(tmp_path / "other"))
