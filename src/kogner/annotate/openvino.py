"""ONNX graphs run by OpenVINO (Intel's runtime for processors), in the place of an ONNX Runtime session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kogner.errors import ArtifactError, MissingExtraError


class OpenVinoSession:
    """A graph ready to run, with `run` as ONNX Runtime's sessions have it.

    threads: of the processor; 0 takes as many as torch has. Raises MissingExtraError without openvino, ArtifactError
    for a file it cannot read.
    """

    def __init__(self, file: Path, *, threads: int = 0) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("the OpenVINO engine", "openvino") from error
        import torch

        settings = {
            "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # where the processor has bfloat16 it would take that unasked
        }
        try:
            self._compiled = openvino.Core().compile_model(str(file), "CPU", settings)
        except Exception as error:  # a bare RuntimeError of its C++ side
            reason = str(error).strip().splitlines()[0]
            raise ArtifactError(f"{file} cannot be run by OpenVINO: {reason}; export the student again") from error

    def run(self, names: None, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """All outputs of the graph, in its order. names: as ONNX Runtime takes it, None for all."""
        del names
        found: Any = self._compiled(dict(inputs))
        return [np.array(found[output]) for output in self._compiled.outputs]
