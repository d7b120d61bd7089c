"""What is measured of docs/analytics.md is what stands there."""

from scripts.measure.analytics import PAGE, questions


def test_every_question_of_the_page_is_measured_under_its_own_words() -> None:
    page = PAGE.read_text("utf-8")
    found = questions(page)
    assert len(found) == page.count("```sql\nSELECT")
    assert all(question in page and "?" in question for question, _ in found)
    assert len({statement for _, statement in found}) == len(found)
