"""JIT-compiled loops on arrays and scalars; validation happens in their callers."""
