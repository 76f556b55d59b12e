"""A builder of tools: it writes Python, checks it, and runs it in the sandbox once a person has agreed.

o apply examples/tool_builder.py && o chat "Tool Builder"
"""

import ast

from o.dsl import block, define_agent, starting_with, tool, when


@tool(effect="pure", idempotent=True, parallel=True)
def check_python(code: str) -> str:
    """Check whether code is valid Python, without running it.

    Args:
        code: The whole program.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return f"valid; it defines {', '.join(functions) or 'no function'}"


define_agent(
    "Tool Builder",
    system=(
        "You write small Python tools. Check each version with check_python, then try it with run_code; a person "
        "sees the code and decides whether it runs. If they refuse, ask what to change. Note in the block `tools` "
        "which tools work and how they are called."
    ),
    blocks=[block("tools", description="Tools that were tried and work.")],
    tools=[check_python, "run_code"],
    rules=[
        starting_with(check_python),
        when("run_code").asks(),
        when("run_code").at_most(3),
    ],
    tags=["example"],
)
