"""What students handed in is found and read as it lies; nothing of it is believed."""

import json

import pytest

from fmtutor.course.assignment import read_assignment, read_notebook
from fmtutor.course.release import WORDS, released
from fmtutor.course.submissions import FILE_BYTES, find_submissions, read_submission
from tests.course.hand_ins import SOURCE

NAME = "a02_partial_labels"


@pytest.fixture(scope="module")
def assignment():
    return read_assignment(SOURCE)


@pytest.fixture
def student(assignment):
    return released(read_notebook(SOURCE), assignment)


def touch(folder, *parts):
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def test_a_notebook_is_a_student_and_so_is_a_folder_with_one(tmp_path):
    one = touch(tmp_path, "ada.ipynb")
    two = touch(tmp_path, "ben", "any name.ipynb")
    touch(tmp_path, "notes.txt")
    (tmp_path / "empty").mkdir()
    assert find_submissions(tmp_path, NAME) == [("ada", one), ("ben", two)]


def test_the_folder_that_nbgrader_collects_into_is_read_as_it_is(tmp_path):
    wanted = touch(tmp_path, "ada", NAME, f"{NAME}.ipynb")
    touch(tmp_path, "ada", "a00_volumes_and_scores", "a00_volumes_and_scores.ipynb")
    touch(tmp_path, "ada", NAME, "timestamp.txt")
    touch(tmp_path, "ben", "a00_volumes_and_scores", "a00_volumes_and_scores.ipynb")
    assert find_submissions(tmp_path, NAME) == [("ada", wanted)]


def test_links_are_no_submissions(tmp_path):
    outside = touch(tmp_path, "elsewhere", NAME, "secret.ipynb")
    folder = tmp_path / "submitted"
    mine = touch(folder, "ada", "mine.ipynb")
    (folder / "ben.ipynb").symlink_to(outside)
    (folder / "cem").symlink_to(outside.parent)
    (folder / "ada" / NAME).symlink_to(outside.parent)
    (folder / "ada" / "other.ipynb").symlink_to(outside)
    assert find_submissions(folder, NAME) == [("ada", mine)]


def test_two_notebooks_of_a_student_are_an_error_with_both_names(tmp_path):
    touch(tmp_path, "ada", "new.ipynb")
    touch(tmp_path, "ada", "old.ipynb")
    with pytest.raises(ValueError, match=r"ada has new\.ipynb and old\.ipynb; remove one"):
        find_submissions(tmp_path)


def test_a_folder_without_notebooks_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="found none in"):
        find_submissions(tmp_path)
    with pytest.raises(ValueError, match="must lie in a folder"):
        find_submissions(tmp_path / "none")


@pytest.mark.parametrize("lost", ["fmtutor", "nbgrader"])
def test_words_are_found_while_one_of_two_tags_is_left(tmp_path, assignment, student, lost):
    for cell in student["cells"]:
        cell["metadata"].pop(lost, None)
    path = tmp_path / "ada.ipynb"
    path.write_text(json.dumps(student))
    read = read_submission("ada", path, assignment)
    assert read.error == ""
    assert read.words == {"why_no_softmax": WORDS, "what_masking_takes": WORDS}


@pytest.mark.parametrize("content", ["", "[]", '{"nbformat": 4, "cells": [{}]}', "x" * FILE_BYTES])
def test_a_file_that_cannot_be_read_says_why_and_raises_nothing(tmp_path, assignment, content):
    path = tmp_path / "ada.ipynb"
    path.write_text(content)
    read = read_submission("ada", path, assignment)
    assert "must be" in read.error
    assert (read.cells, read.words) == ((), None)
