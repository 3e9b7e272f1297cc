"""The stage's assertions say what they have seen, as those of the tests do."""

import pytest

pytest.register_assert_rewrite("tests.gateway.serve.stage")
