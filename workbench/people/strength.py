"""What a password must be: long, not among the first that are guessed, and not the user's own name."""

from __future__ import annotations

import re

from workbench.people.errors import PasswordRefused
from workbench.people.passwords import LONGEST

SHORTEST = 12
FEWEST_DIFFERENT = 5
REMEDY = "Four or five words that nobody else would put together make a good one."

# The words that lists of leaked passwords begin with, whatever is written before and after them.
WORDS = """
1q2w3e 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx 1qaz2wsx3edc 1qazxsw2 a1b2c3 abc123 abcd abcdef abcdefg abcdefgh
abcdefghijkl access account adidas admin administrator amanda america analytics andrea andrew angel anthony april
arsenal asdf asdfasdf asdfgh asdfghjk asdfghjkl ashley august austin autumn azerty azertyuiop bailey barcelona
baseball basketball batman biteme blink bonjour buster butterfly changeit changeme changemenow charlie cheese chelsea
chocolate chris company computer cookie corvette cowboys dallas daniel dashboard december default demo diamond donald
dragon elephant family february fender ferrari flower football freedom friday friends fuckoff fuckyou george ginger
google guest guitar hannah harley hello helloworld heslo hockey hottie hunter iceman iloveu iloveyou internet jackson
january jasmine jennifer jessica jesus jordan joshua july june junior justin killer letmein letmeinnow linkedin
liverpool login london lovely loveme loveyou maggie manager march marina marlboro martin master matrix matthew
maverick mercedes metabase michael michelle microsoft monday monkey monster mother mustang mynoob naruto newpassword
nicole ninja notebook notebooks nothing november october office oracle orange pass passer passpass passphrase passw0rd
password passwort pepper phoenix player pokemon poohbear porsche postgres postgresql princess purple q1w2e3r4
q1w2e3r4t5 q1w2e3r4t5y6 qazwsx qazwsxedc qazwsxedcrfv qwer qwerqwer qwert qwerty qwertyqwerty qwertyu qwertyui
qwertyuiop qwertyuiopasdf qwertz qwertzuiop ranger richard robert root samantha samsung saturday scooter secret secure
security september server service shadow silver slipknot soccer spiderman spring starwars steelers summer sunday
sunshine superman superuser support sysadmin taylor temp temporary tennis test tester testing testtest thomas thunder
thursday tigger tinkerbell trustno1 tuesday user vanilla wednesday welcome whatever william windows winter wordpass
workbench yankees yellow zaq12wsx zxcv zxcvbn zxcvbnm
"""
COMMON = frozenset(WORDS.split())
RUNS = ("01234567890123456789", "09876543210987654321", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
DISGUISES = str.maketrans("@4031!5$7", "aaoeiisst")
AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")
REPEATED = re.compile(r"(.+?)\1+")


def require_strong(password: str, *, email: str) -> None:
    """Raise PasswordRefused, saying why, for a password that is guessed early."""
    if len(password) < SHORTEST:
        raise PasswordRefused(f"The password has fewer than {SHORTEST} characters.", remedy=REMEDY)
    if len(password) > LONGEST:
        raise PasswordRefused(f"The password has more than {LONGEST:,} characters.")
    if _is_named_after(password, email):
        raise PasswordRefused("The password is the e-mail address, or nearly so.", remedy=REMEDY)
    if _is_common(password):
        raise PasswordRefused("The password is among the first that are guessed.", remedy=REMEDY)


def _is_named_after(password: str, email: str) -> bool:
    lowered, (name, _, domain) = password.lower(), email.partition("@")
    own = {name, domain, domain.partition(".")[0], name + domain, name + domain.partition(".")[0]}
    return email in lowered or bool(_cores(lowered) & own)


def _is_common(password: str) -> bool:
    lowered = password.lower()
    if len(set(lowered)) < FEWEST_DIFFERENT or any(lowered in run or lowered in run[::-1] for run in RUNS):
        return True
    return bool(_cores(lowered) & COMMON)


def _cores(lowered: str) -> set[str]:
    """What is left of it without figures and signs around, disguises within, and repetition."""
    plain = {lowered, lowered.translate(DISGUISES)}
    bare = plain | {AROUND.sub("", text) for text in plain} | {AROUND.sub("", lowered).translate(DISGUISES)}
    once = {match[1] for text in bare if (match := REPEATED.fullmatch(text))}
    return bare | once | {AROUND.sub("", text) for text in once}
