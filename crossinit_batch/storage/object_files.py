"""Objects in a bucket, or in memory: a put publishes one atomically."""

from __future__ import annotations

import contextlib
from typing import Any

from crossinit_batch import layout
from crossinit_batch.storage.failures import status_of
from crossinit_batch.storage.fault_points import Point, reach
from crossinit_batch.storage.local_files import TEMPORARY
from crossinit_batch.storage.reading import MOST_BYTES, check_size


class ObjectFiles:
    """The objects of an fsspec file system, by full paths. A put is atomic, so nothing is renamed."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self.filesystem, self.root = filesystem, root
        protocols = filesystem.protocol
        on_s3 = "s3" in ((protocols,) if isinstance(protocols, str) else protocols)
        self._reading = {"max_concurrency": 1} if on_s3 else {}  # one request, not one for the size first
        # s3fs and adlfs would answer from an old listing: a lease that another run has just taken would be missing.
        on_azure = "abfs" in protocols
        self._asked_anew = {"refresh": True} if on_s3 or on_azure else {}
        self._sizes: dict[str, int] = {}

    def read(self, path: str, limit: int = MOST_BYTES) -> bytes:
        """The bytes of an object, whose size is looked at first where no listing has told it; UnfitFile for a larger
        one than `limit`."""
        size = self._sizes.get(path)
        if size is None:
            self.filesystem.invalidate_cache(path.rpartition("/")[0])
            facts = self.filesystem.info(path, **self._asked_anew)
            if facts["type"] == "directory":
                raise IsADirectoryError(path)
            size = int(facts["size"] or 0)
        check_size(size, path, limit)
        # An end, as it may be another object by now; none may be asked for of one that is empty.
        bounds = {"start": 0, "end": limit + 1} if size else {}
        data: bytes = self.filesystem.cat_file(path, **bounds, **self._reading)
        check_size(len(data), path, limit)
        return data

    def write(self, path: str, data: bytes) -> None:
        """Put an object in one request; not by a file object, whose `with` block publishes half a file on an error."""
        reach(Point.BEFORE_PUT)
        self._sizes.pop(path, None)
        self.filesystem.pipe_file(path, data)
        self._sizes[path] = len(data)
        reach(Point.AFTER_PUT)

    def create(self, path: str, data: bytes) -> None:
        """Put an object that does not exist yet; FileExistsError where it does, if the storage supports that."""
        reach(Point.BEFORE_CREATE)
        try:
            self.filesystem.pipe_file(path, data, mode="create")
        except OSError as error:
            if status_of(error) == 412:  # s3fs recognises only AWS's own answer
                raise FileExistsError(path) from error
            raise
        reach(Point.AFTER_CREATE)

    def remove(self, path: str) -> None:
        """Remove an object; no error where there is none."""
        reach(Point.BEFORE_REMOVE)
        self._sizes.pop(path, None)
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(path)
        reach(Point.AFTER_REMOVE)

    def listing(self, below: str = "") -> dict[str, int]:
        """Every object below the root or a folder of it, relative to the root, with its size; never from a cache."""
        return {name: size for name, size in self._find(below).items() if TEMPORARY not in name}

    def sweep(self, alone: bool) -> int:
        """Remove the probes of processes that were killed while they tested the bucket, if `alone`, and count them."""
        left = [name for name in self._find(layout.STATE) if TEMPORARY in name] if alone else []
        for name in left:
            self.remove(f"{self.root}/{name}")
        return len(left)

    def _find(self, below: str) -> dict[str, int]:
        self.filesystem.invalidate_cache()
        try:
            found = self.filesystem.find(f"{self.root}/{below}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        prefix = len(self.root.rstrip("/")) + 1
        sizes = {
            path: int(facts["size"] or 0)
            for path, facts in found.items()
            if facts["type"] == "file" and not path.endswith("/")
        }
        self._sizes |= sizes
        return {path[prefix:]: size for path, size in sizes.items()}
