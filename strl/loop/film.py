"""Films of episodes, through Gymnasium's recorder: each whole in its folder, or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gymnasium

from strl.errors import EnvironmentFault, StrlError, UsageError
from strl.files import check_replaceable

World = gymnasium.Env[Any, Any]


def filmed(world: World, name: str, folder: str) -> World:
    """``world``, every episode of which becomes ``folder/NAME-episode-N.mp4`` when it is over.

    Raises:
        EnvironmentFault: it draws nothing.
        UsageError: a package is missing.
    """
    if world.render_mode != "rgb_array":
        raise EnvironmentFault(f"{name}: cannot render frames, so it cannot be filmed", hint="omit --video")
    try:
        return _Film(world, name.replace("/", "-"), Path(folder))
    except gymnasium.error.DependencyNotInstalled as error:
        raise UsageError(
            f"filming needs a package: {str(error).splitlines()[0]}", hint="pip install 'strl[video]'"
        ) from error


class _Film(gymnasium.wrappers.RecordVideo):
    """Films elsewhere and moves what is whole: ffmpeg leaves half a film where the disk is full."""

    def __init__(self, world: World, name: str, folder: Path) -> None:
        self._folder = folder
        self._elsewhere = tempfile.TemporaryDirectory(prefix="strl-film-")
        try:
            super().__init__(
                world,
                str(Path(self._elsewhere.name) / "film"),  # not there yet, or Gymnasium warns of it
                episode_trigger=lambda _: True,
                name_prefix=name,
                disable_logger=True,
            )
        except BaseException:
            self._elsewhere.cleanup()
            raise

    def stop_recording(self) -> None:
        try:
            super().stop_recording()  # type: ignore[no-untyped-call]
            for film in Path(self.video_folder).iterdir():
                _moved(film, self._folder)
        except (OSError, UsageError) as error:
            self.recorded_frames, self.recording = [], False
            if isinstance(error, UsageError):
                raise
            reason = error.strerror or str(error).partition("\n")[0]
            raise StrlError(
                f"{self._folder}: the film cannot be written: {reason}",
                hint="make room, or name another folder with --video",
            ) from error

    def close(self) -> None:
        try:
            super().close()  # type: ignore[no-untyped-call]
        finally:
            self._elsewhere.cleanup()


def _moved(film: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    check_replaceable(folder / film.name)
    partial = folder / f".{film.name}.part"
    try:
        shutil.copyfile(film, partial)
        os.replace(partial, folder / film.name)
    finally:
        partial.unlink(missing_ok=True)
    film.unlink()
