from __future__ import annotations

from tests.bad_inputs.conftest import adapter, folder, forgetless  # noqa: F401 - for these tests too
from tests.tasks.conftest import dataset_cache  # noqa: F401 - for these tests too
