"""The contract: one list of kinds, one list of properties, and each test a property of all kinds."""
