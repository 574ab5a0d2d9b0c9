from __future__ import annotations

from pathlib import Path

import pytest
from support.drawn_clips import Drawn, draw


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Each kind of clip is drawn once."""
    folder, made = tmp_path_factory.mktemp("clips"), {}

    def make(clip: Drawn) -> Path:
        if clip not in made:
            made[clip] = draw(folder / f"{len(made)}.mp4", clip)
        return made[clip]

    return make
