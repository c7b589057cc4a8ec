"""What a wheel must hold beside Python files; the rest of the build is in pyproject.toml."""

import os
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

NEEDED = {
    "service/static/index.html": "the page is not built: `make wheel` builds it and the wheel, and a wheel without it, "
    "for a machine that runs workers alone, is built with WITHOUT_PAGE=1",
    "model_store/demo/brain-demo-256/weights.safetensors": "a model that ships is not there: the copy is incomplete",
    "model_store/demo/head-style-128/weights.safetensors": "a model that ships is not there: the copy is incomplete",
    "model_store/demo/brain-demo-256/reference.safetensors": "a model that ships is not there: the copy is incomplete",
    "model_store/demo/head-style-128/reference.safetensors": "a model that ships is not there: the copy is incomplete",
    "model_store/demo/head-t1-128/weights.safetensors": "a model that ships is not there: the copy is incomplete",
    "model_store/demo/thorax-demo-128/weights.safetensors": "a model that ships is not there: the copy is incomplete",
    "model_store/features/distortion/weights.safetensors": "a network that ships is not there: the copy is incomplete",
}


class CompleteBuild(build_py):
    """Ends with a sentence where a wheel would be without its page or its models. A checkout in place may be."""

    def run(self) -> None:
        for path, complaint in NEEDED.items():
            is_left_out = path.startswith("service/static/") and os.environ.get("WITHOUT_PAGE") == "1"
            if not (self.editable_mode or is_left_out or Path(path).is_file()):
                raise SetupError(complaint)
        super().run()


setup(cmdclass={"build_py": CompleteBuild})
