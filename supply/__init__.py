"""What ships and what it rests on: a release made, two builds compared, licences listed, vulnerabilities asked for."""
