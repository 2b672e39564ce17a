"""What the property tests share."""

from hypothesis import settings

# A test has its timeout; how long one example takes says more about the machine.
settings.register_profile("portway", deadline=None)
settings.load_profile("portway")
