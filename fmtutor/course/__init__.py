"""What a course needs: property checks, and later release, validation and grading."""
