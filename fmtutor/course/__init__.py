"""What a course needs: property checks, and assignments released, validated, graded, reported."""
