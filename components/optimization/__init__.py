"""Smaller and faster models within a stated budget: quantized, pruned, distilled, judged."""
