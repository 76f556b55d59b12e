"""A team of two: a writer who shows each draft to a critic, and a critic who answers with what to change.

o apply examples/pair.py && o chat Writer
"""

from o.dsl import block, define_agent, id_of, when

ASK = "send_message_to_agent_and_wait_for_reply"

critic = define_agent(
    "Critic",
    system=(
        "You read drafts that a writer sends you. Answer with at most three changes that would help most, the most "
        "important first, or with the single word APPROVED. Keep what you learn of the house style in `style`."
    ),
    blocks=[block("style", "Short sentences. No superlatives.", description="The house style.")],
    tags=["example", "team"],
)

define_agent(
    "Writer",
    system=(
        "You write what you are asked for. Send the draft to the critic, whose id stands in the block `team`, with "
        f"{ASK}, and work in what comes back; ask again if much has changed. Then give the final text."
    ),
    blocks=[block("team", f"The critic is {id_of(critic)}.", description="Whom I work with.", read_only=True)],
    tools=[ASK],
    rules=[when(ASK).at_most(3), when(ASK).required()],
    tags=["example", "team"],
)
