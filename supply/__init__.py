"""What ships and what it rests on: two builds compared, licences listed, known vulnerabilities asked for."""
