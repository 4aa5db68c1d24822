"""Named tensors and text in one safetensors file whose bytes depend on its content alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from crossinit_batch.errors import CrossinitError

_LENGTH = struct.Struct("<Q")
_METADATA = "__metadata__"
_HINT = "Delete the file and let it be made again, or copy it once more from where it came."


class TensorFileError(CrossinitError):
    """A safetensors file cannot be read; the message names the file and the reason."""


def dump_tensors(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """Safetensors bytes of dense tensors; equal content gives equal bytes in every process and machine.

    The library writes tensors in a fixed order but metadata in the order of a randomly seeded hash map, so
    the header is written again with sorted keys, padded with spaces to a multiple of 8 bytes.
    """
    if _METADATA in tensors:
        raise ValueError(f"a tensor cannot be called {_METADATA}")
    # A copy for each name: the library refuses tensors that share memory.
    dense = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    raw: bytes = save(dense, dict(metadata))
    header, data = _header_of(raw), raw[_LENGTH.size + _LENGTH.unpack_from(raw)[0] :]
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return _LENGTH.pack(len(text)) + text + data


def load_tensors(data: bytes, name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the metadata in safetensors bytes; `name` is the file's, for messages.

    Raises TensorFileError for anything but a complete and valid file. A flipped bit in the data is not detected here
    but by the checksum in the receipt.
    """
    reason = _broken_length(data)
    if reason:
        raise TensorFileError(f"{name}: {reason}", _HINT)
    try:
        tensors: dict[str, torch.Tensor] = load(data)
    except SafetensorError as error:
        detail = str(error).removeprefix("Error while deserializing: ")
        raise TensorFileError(f"{name}: not a valid safetensors file: {detail}", _HINT) from error
    except KeyError as error:
        raise TensorFileError(f"{name}: numbers of type {error.args[0]}, which PyTorch does not have") from error
    except (TypeError, RuntimeError, OverflowError) as error:
        raise TensorFileError(f"{name}: a tensor has a shape that PyTorch cannot hold", _HINT) from error
    return tensors, dict(_header_of(data).get(_METADATA) or {})


def _broken_length(data: bytes) -> str | None:
    """What is wrong with the sizes in and of a file, or None; the library's own messages name no sizes."""
    if not data:
        return "the file is empty"
    if len(data) < _LENGTH.size:
        return f"cut short: {len(data)} bytes, too few for a safetensors file"
    header: int = _LENGTH.unpack_from(data)[0]
    if data[_LENGTH.size : _LENGTH.size + 1] not in (b"{", b""):
        return "not a safetensors file"
    if header > len(data) - _LENGTH.size:
        return f"its header claims {header} bytes and the file has {len(data)}: cut short, or not safetensors"
    return None


def _header_of(data: bytes) -> dict[str, dict[str, str]]:
    """The JSON header of bytes that the safetensors library has written or accepted."""
    end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    header: dict[str, dict[str, str]] = json.loads(data[_LENGTH.size : end])
    return header
