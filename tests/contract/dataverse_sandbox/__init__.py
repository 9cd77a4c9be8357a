"""The sandbox against the recorded rules of the two ends that it plays."""
