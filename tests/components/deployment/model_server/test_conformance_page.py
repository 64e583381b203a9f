"""The page that counts the cases says what the cases are."""

import re
from collections import Counter

from conformance_cases import CASES
from conformance_cases.page import PAGE, render
from documents import README


def test_the_page_is_that_of_the_cases():
    assert PAGE.read_text("utf-8") == render(CASES), "write it again: make docs-conformance"


def test_the_readme_gives_the_count_of_the_page():
    (counted,) = re.findall(r"\d+ of \d+ cases", README)
    assert counted in render(CASES)


def test_cases_have_names_of_their_own():
    names = Counter((case.feature, case.name) for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []
