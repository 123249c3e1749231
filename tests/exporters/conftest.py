"""Hugging Face's libraries read these when they are imported: no hub, no telemetry, one thread, a cache of our own."""

import os
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HOME", tempfile.mkdtemp(prefix="hitl-test-hf-"))
