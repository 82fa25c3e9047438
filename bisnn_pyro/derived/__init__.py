"""What is made of finished runs: mixtures, students, certificates, and what their layers do."""
