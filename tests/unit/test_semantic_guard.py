"""What two sentences must share to be taken for the same question, however similar they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.semantic.guard import MOST_CHARS, Guard, guard_of, is_alike


def alike(one: str, other: str) -> bool:
    first, second = guard_of(one), guard_of(other)
    return first is not None and second is not None and is_alike(first, second) and is_alike(second, first)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which plans include support?", "Which plans don't include support?"),
        ("Which plans include support?", "Which plans don’t include support?"),
        ("Recipes with nuts", "Recipes without nuts"),
        ("Is it legal?", "Is it illegal?"),
        ("Is the user known?", "Is the user unknown?"),
        ("Convert 5 miles.", "Convert 50 miles."),
        ("Convert -5 degrees.", "Convert 5 degrees."),
        ("Give me two ideas.", "Give me three ideas."),
        ("What is 1.5 worth?", "What is 15 worth?"),
        ("Is $20 enough?", "Is £20 enough?"),
        ("Is 5 mg too much?", "Is 5 g too much?"),
        ("Is it due on 2026-11-01?", "Is it due on 2026-12-01?"),
        ("Remind me at 5 pm.", "Remind me at 5 am."),
        ("Is it open on monday?", "Is it open on tuesday?"),
        ("Who founded Apple?", "Who founded Microsoft?"),
        ("Paris: is it nice?", "Berlin: is it nice?"),
        ("How old is Anna's cat?", "How old is Maria's cat?"),
        ("sort a list in python", "sort a list in java"),
        ('What does "carpe diem" mean?', 'What does "carpe noctem" mean?'),
        ("What does “carpe diem” mean?", "What does “carpe noctem” mean?"),
        ("What does `a + b` do?", "What does `a - b` do?"),
        ("What does user_id mean?", "What does order_id mean?"),
        ("What does getUser do?", "What does getUsers do?"),
        ("Is a@example.com yours?", "Is b@example.com yours?"),
        ("Is C# hard?", "Is C++ hard?"),
        ("How do I enable it?", "How do I disable it?"),
        ("Why did prices rise?", "Why did prices fall?"),
        ("Who is ≥ 18?", "Who is ≤ 18?"),
        ("Who is < 18?", "Who is > 18?"),
        ("Is x ≥ y?", "Is x y?"),
        ("Is 👍 polite?", "Is 👎 polite?"),
        ("Is 👍 polite?", "Is it polite?"),
        ("Is (a and b) or c true?", "Is a and (b or c) true?"),
        ("What is a - b?", "What is a b?"),
        ("What is x-y?", "What is x y?"),
        ("Is 7-2 right?", "Is 7 2 right?"),
        ("Is a != b?", "Is a == b?"),
        ("Is a != b?", "Is a = b?"),
        ("Is !ready true?", "Is ready true?"),
        ("What is 5!", "What is 5"),
        ("Is +5 enough?", "Is -5 enough?"),
        ("Is 35 ‰ much?", "Is 35 % much?"),
        ("Is 35 ‰ much?", "Is 35 much?"),
        ("Is 20 ₹ much?", "Is 20 ₩ much?"),
        ("Is 6' tall?", 'Is 6" tall?'),
        ("What is 2² in all?", "What is 22 in all?"),
        ("Is CO₂ heavy?", "Is CO2 heavy?"),
        ("Is .NET free?", "Is NET free?"),
        ("What is my name?", "What is your name?"),
        ("Is the bag mine?", "Is the bag yours?"),
        ("Is it his dog?", "Is it her dog?"),
        ("Is it his dog?", "Is it their dog?"),
        ("Does my dog like your cat?", "Does your dog like my cat?"),
        ("How is schon used?", "How is schön used?"),
        ("What is pate?", "What is pâté?"),
        (f"What is {'a' * 120}?", f"What is {'b' * 120}?"),
    ],
)
def test_a_negation_a_number_a_name_a_quote_or_an_opposite_makes_it_another_question(one: str, other: str) -> None:
    assert not alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Translate from English to French.", "Translate from French to English."),
        ("Does a wolf hunt a sheep?", "Does a sheep hunt a wolf?"),
        ("Divide 12 by 4.", "Divide 4 by 12."),
        ("Is Alice taller than Bob?", "Is Bob taller than Alice?"),
        ("Convert json to xml", "Convert xml to json"),
    ],
)
def test_the_same_words_in_another_order_are_another_question(one: str, other: str) -> None:
    assert not alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "How can I reset a password?"),
        ("How do I reset my password?", "Please explain the reset of passwords."),
        ("I can't log in", "I cannot log in"),
        ("Convert 5.0 km to miles.", "Convert 5 kilometres to mi."),
        ("Is 1,000 enough?", "Would 1000 be enough?"),
        ("What is the capital of France?", "Which city is France's capital?"),
        ("Write twelve lines about Anna.", "Write 12 verses about Anna."),
        ("What does “carpe diem” mean?", 'What is meant by "carpe diem"?'),
        ("Ist das gut?", "Ist das gut"),
        ("How do I check in?", "How do I check-in?"),
        ("How do I reset my password?!", "How do I reset my password..."),
        ("Hello, how do I pay?", "Hello! How do I pay?"),
        ("Is my order late?", "Is the order late?"),
        ("Is a != b true?", "Tell me: is a != b true?"),
        ("How do I brew café au lait?", "How can I brew café au lait?"),
    ],
)
def test_what_is_only_put_differently_passes(one: str, other: str) -> None:
    assert alike(one, other)


@pytest.mark.parametrize(
    "text", ["", " \n", "?!", "2 + 2", "x" * (MOST_CHARS + 1), "Как дела?", "東京はどこですか", "Where is Δelta?"]
)
def test_what_the_model_cannot_judge_is_not_compared(text: str) -> None:
    assert guard_of(text) is None


WORDS = ["why", "does", "the", "red", "Fox", "not", "jump", "over", "3", "lazy", "dogs", "`x`", "today", "Paris"]
words = st.lists(st.sampled_from(WORDS)).map(lambda said: ["why", *said])


@given(words)
def test_a_sentence_passes_beside_itself_however_it_is_spaced_and_ended(said: list[str]) -> None:
    assert alike(" ".join(said), "  ".join(said) + " ?")


MARKS = [
    "not",
    "never",
    "4",
    "Rome",
    "`y`",
    '"z"',
    "tomorrow",
    "km",
    "minimum",
    "≥",
    "-",
    "!=",
    "!x",
    "(",
    "👎",
    "‰",
    "é",
]


@given(words, st.sampled_from(MARKS), st.data())
def test_whatever_counts_cannot_be_put_in_anywhere(said: list[str], mark: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(said)))

    assert not alike(" ".join(said), " ".join([*said[:place], mark, *said[place:]]))


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_can_be_judged_and_both_ways_alike(one: str, other: str) -> None:
    first, second = guard_of(one), guard_of(other)

    if first is not None and second is not None:
        assert is_alike(first, second) == is_alike(second, first)
        assert is_alike(first, first)


def test_no_word_of_the_prompt_is_kept() -> None:
    guard = guard_of("Is Alice ill?")

    assert guard is not None
    assert isinstance(guard, Guard)
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in (guard.must, guard.words, guard.order))
