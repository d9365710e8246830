"""The parts of the model of the protocol; see tests/protocol/model.py."""
