"""Who declines is told from who answers by the first words: a list of both, by hand."""

import pytest

from streams.answers.refusal import sounds_declined

DECLINED = (
    "I can't help with that.",
    "I can’t assist with this request.",
    "I cannot provide medical advice.",
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t.",
    "I am sorry, I cannot comply.",
    "Sorry, I can't do that.",
    "Sorry, but I won't write that.",
    "I'm really sorry, but I'm not able to discuss this topic.",
    "I apologize, but I cannot fulfil this request.",
    "I apologise, but I will not generate such content.",
    "My apologies, but I am unable to share that.",
    "Unfortunately, I can't provide that information.",
    "Unfortunately, we are not able to process this.",
    "Regrettably, I must decline.",
    "I won't help with building a weapon, however small.",
    "I cannot in good conscience create this.",
    "I'm unable to answer questions about that person.",
    "As an AI language model, I cannot say.",
    "As an AI, I don't have access to your files.",
    "**I'm sorry, but I can't assist with that.**",
    '"I can\'t discuss that."',
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Leider kann ich diese Anfrage nicht beantworten.",
    "Es tut mir leid, ich kann keine Auskunft geben.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Désolée, je ne peux pas répondre à cette question.",
    "Lo siento, pero no puedo ayudarte con eso.",
)
ANSWERED = (
    "I can't recommend this highly enough.",
    "I cannot stress enough how ripe they are.",
    "I can't help but admire this recipe.",
    "I cannot help but agree: the tomatoes are ripe.",
    "I can't wait to share the answer: 42.",
    "I won't lie, the harvest was poor: twelve crates.",
    "I can't give this book enough praise.",
    "I can't say enough good things about it.",
    "I will not be home at six; please move the meeting to seven.",
    "I can help with that.",
    "I'm sorry to hear that! I can't imagine how hard it was. Here is what you can do:",
    "I'm sorry for the delay: your order left on Tuesday.",
    "Sorry for the delay: they are ripe. I cannot help with more.",
    "Sorry, I can't find a typo: the text is right.",
    "Unfortunately, they rotted.",
    "Unfortunately, I cannot find more than three mistakes in it.",
    "Unfortunately, we won't know before Friday.",
    "As an AI, I find this puzzle easy: 7.",
    "As an AI researcher, I can share three findings.",
    "Dear Ms Lovelace, I am sorry, but I cannot attend on Friday.",
    "Es tut mir leid, das zu hören. Hier ist, was ich kann: nicht viel, aber immerhin.",
    "Es tut mir leid, wie kann ich das wieder gutmachen?",
    "Je suis désolé de l'apprendre. Voici ce que je peux faire.",
    "Lo siento, no puedo evitar sonreír: son 42.",
    "I can't say for certain, but most likely in May.",
    "I can't open the old letters without thinking of you.",
    "",
)


@pytest.mark.parametrize("content", DECLINED)
def test_who_declines_is_noticed(content: str) -> None:
    assert sounds_declined(content)


@pytest.mark.parametrize("content", ANSWERED)
def test_who_answers_does_not_decline(content: str) -> None:
    assert not sounds_declined(content)
