"""Stage 5: when and how fast contacts are written, and what an answer means for them."""
