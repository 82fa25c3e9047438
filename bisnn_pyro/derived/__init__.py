"""What is made of finished runs: mixtures, students, certificates."""
