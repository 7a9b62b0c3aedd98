"""The demo: real operator logs (STAR), or a simulated operation with known truth."""
