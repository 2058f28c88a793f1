"""Turns the hand-labelled prompts below into tests/vectors/structure/labelled.jsonl (byte spans), for
tests/component/test_structural_analyzer.c:  python3 tests/vectors/structure/label.py
A label is a kind and the exact text of the span, as a person marked it by the rules of the page; the n-th occurrence is
given by a trailing #n (from 0). The whole document is not listed. Nothing here comes from the parser."""
import json
import os

K = {"s": "section", "e": "example", "l": "list", "i": "item", "p": "paragraph", "h": "heading", "cb": "code_block",
     "r": "role", "q": "question", "in": "instruction", "c": "constraint", "k": "code", "x": "placeholder"}


def labels(prompt, marks):
    out = []
    for kind, text in marks:
        nth = 0
        if len(text) > 2 and text[-2] == "#" and text[-1].isdigit():
            text, nth = text[:-2], int(text[-1])
        at = -1
        for _ in range(nth + 1):
            at = prompt.index(text, at + 1)
        start = len(prompt[:at].encode())
        out.append([K[kind], start, start + len(text.encode())])
    return sorted(out)


SET = []


def case(prompt, *marks):
    SET.append((prompt, [(m.split(" ", 1)[0], m.split(" ", 1)[1]) for m in marks]))


case("Write a poem.", "p Write a poem.", "in Write a poem.")
case("What is the capital of France?", "p What is the capital of France?", "q What is the capital of France?")
case("The sky is blue.", "p The sky is blue.")
case("You are a pirate. Tell me a joke.", "p You are a pirate. Tell me a joke.", "r You are a pirate.", "in Tell me a joke.")
case("Act as a chef. You must not use salt.", "p Act as a chef. You must not use salt.", "r Act as a chef.",
     "c You must not use salt.")
case("I want you to act as a {job}. Is that clear?", "p I want you to act as a {job}. Is that clear?",
     "r I want you to act as a {job}.", "x {job}", "q Is that clear?")
case("Summarize {{text}} in 50 words.", "p Summarize {{text}} in 50 words.", "in Summarize {{text}} in 50 words.",
     "c Summarize {{text}} in 50 words.", "x {{text}}")
case("Dear [Name],\n\nthank you for ${item} and <gift>.", "p Dear [Name],", "x [Name]",
     "p thank you for ${item} and <gift>.", "x ${item}", "x <gift>")
case("Use `sort` and ``a`b``.", "p Use `sort` and ``a`b``.", "in Use `sort` and ``a`b``.", "k `sort`", "k ``a`b``")
case("- one\n- two\n- three", "l - one\n- two\n- three", "i - one", "i - two", "i - three")
case("1. Read it.\n2. Sort it.", "l 1. Read it.\n2. Sort it.", "i 1. Read it.", "i 2. Sort it.", "in Read it.", "in Sort it.")
case("* a\n  * b\n  * c\n* d", "l * a\n  * b\n  * c\n* d", "i * a\n  * b\n  * c", "l * b\n  * c", "i * b", "i * c", "i * d")
case("1) x\n   - y\n     + z", "l 1) x\n   - y\n     + z", "i 1) x\n   - y\n     + z", "l - y\n     + z", "i - y\n     + z",
     "l + z", "i + z")
case("# One\ntext\n# Two\nmore", "s # One\ntext", "h # One", "p text", "s # Two\nmore", "h # Two", "p more")
case("# A\n## B\nb\n### C\nc\n## D\nd", "s # A\n## B\nb\n### C\nc\n## D\nd", "h # A", "s ## B\nb\n### C\nc", "h ## B", "p b",
     "s ### C\nc", "h ### C", "p c", "s ## D\nd", "h ## D", "p d")
case("Title\n=====\n\nBody.\n\nPart\n----\n\nEnd.", "s Title\n=====\n\nBody.\n\nPart\n----\n\nEnd.", "h Title\n=====", "p Body.",
     "s Part\n----\n\nEnd.", "h Part\n----", "p End.")
case("Context:\nWe sell tea.\n\nTask:\nDescribe the tea.", "s Context:\nWe sell tea.", "h Context:", "p We sell tea.",
     "s Task:\nDescribe the tea.", "h Task:", "p Describe the tea.", "in Describe the tea.")
case("```\nint x;\n```", "cb ```\nint x;\n```")
case("Fix this:\n\n```python\nprint(1)\n\nprint(2)\n```\n\nThanks.", "p Fix this:", "in Fix this:",
     "cb ```python\nprint(1)\n\nprint(2)\n```", "p Thanks.")
case("~~~\nunclosed {x}", "cb ~~~\nunclosed {x}")
case("Code:\n\n    a = 1\n    b = 2\n\nDone.", "s Code:\n\n    a = 1\n    b = 2\n\nDone.", "h Code:", "cb     a = 1\n    b = 2",
     "p Done.")
case("System: You are an editor.\nUser: Fix my text.\nAssistant:", "r System:", "p You are an editor.", "r You are an editor.",
     "r User:", "p Fix my text.", "in Fix my text.", "r Assistant:")
case("Sort the words.\n\nExample: cat, dog", "p Sort the words.", "in Sort the words.", "e Example: cat, dog")
case("Translate.\n\nInput: Hund\nOutput: dog", "p Translate.", "in Translate.", "e Input: Hund\nOutput: dog", "p Output: dog")
case("Q: Who?\nA: Me.\n\nQ: {question}\nA:", "e Q: Who?\nA: Me.", "p A: Me.", "p Q: {question}\nA:", "x {question}")
case("Name a fruit (e.g. apple, pear) now.", "p Name a fruit (e.g. apple, pear) now.",
     "in Name a fruit (e.g. apple, pear) now.", "e e.g. apple, pear")
case("Some birds cannot fly, for example penguins.", "p Some birds cannot fly, for example penguins.",
     "c Some birds cannot fly, for example penguins.", "e for example penguins")
case("Do not lie. Never guess. Be kind.", "p Do not lie. Never guess. Be kind.", "c Do not lie.", "c Never guess.")
case("Please list exactly 3 colors.", "p Please list exactly 3 colors.", "in Please list exactly 3 colors.",
     "c Please list exactly 3 colors.")
case("What must I do?", "p What must I do?", "q What must I do?")
case("Ask Dr. Smith. Pay 3.50 euros.", "p Ask Dr. Smith. Pay 3.50 euros.", "in Ask Dr. Smith.")
case("Grüße! Schreibe über {Thema}.", "p Grüße! Schreibe über {Thema}.", "x {Thema}")
case("解释这个。为什么？", "p 解释这个。为什么？", "q 为什么？")
case("Explain the\nlong division\nslowly.", "p Explain the\nlong division\nslowly.", "in Explain the\nlong division\nslowly.")
case("Write a story\nUse simple words", "p Write a story\nUse simple words", "in Write a story", "in Use simple words")
case("See [docs](http://x.y) and <b>bold</b> and {not a: name}.", "p See [docs](http://x.y) and <b>bold</b> and {not a: name}.")
case("- [x] done\n- [ ] open", "l - [x] done\n- [ ] open", "i - [x] done", "i - [ ] open")
case("Rules:\n\n- You must be brief.\n- Use {tone} tone.\n\nGo.", "s Rules:\n\n- You must be brief.\n- Use {tone} tone.\n\nGo.",
     "h Rules:", "l - You must be brief.\n- Use {tone} tone.", "i - You must be brief.", "c You must be brief.",
     "i - Use {tone} tone.", "in Use {tone} tone.", "x {tone}", "p Go.")
case("First, read {a}. Then compare {a} with {b}.", "p First, read {a}. Then compare {a} with {b}.", "in First, read {a}.", "x {a}",
     "in Then compare {a} with {b}.", "x {a}#1", "x {b}")
case("Examples:\n\n- red\n- blue\n\nAnswer in one word.", "e Examples:\n\n- red\n- blue", "l - red\n- blue", "i - red", "i - blue",
     "p Answer in one word.", "in Answer in one word.")
case("Example 1:\n```\n1\n\n2\n```\nExample 2: three", "e Example 1:\n```\n1\n\n2\n```", "cb ```\n1\n\n2\n```", "e Example 2: three")
case("• eins\n• zwei", "l • eins\n• zwei", "i • eins", "i • zwei")
case("Keep it under 100 words. It is over 9000.", "p Keep it under 100 words. It is over 9000.", "in Keep it under 100 words.",
     "c Keep it under 100 words.")
case("   \n\t\n")
case("")
case("One.\r\n\r\n- a\r\n- b\r\n", "p One.", "l - a\r\n- b", "i - a", "i - b")
case("- step one\n  goes on here\n\n  and here\n- step two", "l - step one\n  goes on here\n\n  and here\n- step two",
     "i - step one\n  goes on here\n\n  and here", "i - step two")
case("Text before\n---\n\nText `after` it?", "s Text before\n---\n\nText `after` it?", "h Text before\n---", "p Text `after` it?",
     "q Text `after` it?", "k `after`")

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "labelled.jsonl")
with open(path, "w", encoding="utf-8") as f:
    for prompt, marks in SET:
        f.write(json.dumps({"prompt": prompt, "spans": labels(prompt, marks)}, ensure_ascii=False) + "\n")
print(len(SET), "prompts")
