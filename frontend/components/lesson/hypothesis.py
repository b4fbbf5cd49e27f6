"""Step 5: hypothesis H by hand. Suppress NR channels: does the label come back, and is the network robust then?"""

import streamlit as st

from backend.schemas.laboratory import Scaling, WhatIfRequest, WhatIfResult
from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL
from cifs.plot.predictions import Belief, probability_figure, probability_info
from cifs_client import BackendError
from frontend.components.charts import draw
from frontend.components.lesson.guess import ask_to_see, guess, judged, verdict
from frontend.components.lesson.material import DATASET, Material
from frontend.components.predictions import said

CONTROLS = 20
BACK, NOT_BACK = "it comes back", "it does not"
HOLDS, FALLS = "it withstands", "it falls again"


def hypothesis(step: int, material: Material) -> None:
    thing = material.thing
    st.markdown(
        "The paper's hypothesis: *if the abnormal channels were suppressed, the network would be more robust.* So try "
        f"it: all NR channels of {material.inner} are set to zero, for this image, and nothing else is changed."
    )
    first = guess(step, f"The attacked image is shown again. Does {thing} come back?", [BACK, NOT_BACK], part="a")
    second = guess(step, "Then the *edited* network is attacked anew. What happens?", [HOLDS, FALLS], part="b")
    if not ask_to_see(step, ready=first is not None and second is not None):
        return
    scaling = Scaling(layer=material.inner, channels="NR", factor=0.0)
    request = WhatIfRequest(**material.about(), scalings=[scaling], again=True, controls=CONTROLS)
    result = material.lab.waiting("Editing the network, and attacking it again …").what_if(request).results[0]
    back = result.adversarial.after.prediction == result.label
    verdict(judged(first, BACK if back else NOT_BACK), coming_back(result, thing))
    holds = not any(again.success for again in result.again)
    verdict(judged(second, HOLDS if holds else FALLS), attacked_again(result, holds))
    _chart(result, material)
    st.markdown(how_often(material))
    st.markdown(
        "So a mask that is known and fixed only makes an old attack miss. A defence has to find the abnormal channels "
        "*by itself*, in every image, also in one made against it."
        if back and not holds
        else "One image is one case; the Laboratory page lets you try others, other layers and other factors."
    )


def coming_back(result: WhatIfResult, thing: str) -> str:
    silent = sum(result.edited_channels.values())
    text = f"with {silent} channels silent the network says {said(result.adversarial.after)}."
    if result.control is None:
        return text
    right, draws = result.control.adversarial_right, result.control.draws
    return f"{text} With as many *random* channels silent it says {thing} in {right} of {draws} draws."


def attacked_again(result: WhatIfResult, holds: bool) -> str:
    if holds:
        return f"attacked anew, it still says {said(result.again[0].prediction)}."
    fooled = next(again for again in result.again if again.success)
    return f"attacked anew, it says {said(fooled.prediction)}."


def how_often(material: Material) -> str:
    try:
        example = material.lab.example(material.natural.id, DATASET)
    except BackendError:
        return ""
    return (
        f"How often does it work? This image was picked because it shows it: of the first {example.of} test images "
        f"{example.fooled} are fooled, and of these **{example.telling}** come back in this way at "
        f"{' as well as at '.join(example.layers)} while random channels do not do it."
    )


def _chart(result: WhatIfResult, material: Material) -> None:
    beliefs = [
        Belief("attacked", NEUTRAL, result.adversarial.before.probabilities),
        Belief("attacked, NR channels silent", NATURAL, result.adversarial.after.probabilities),
        Belief("attacked anew", ADVERSARIAL, result.again[0].prediction.probabilities),
    ]
    info = probability_info(material.natural.classes, beliefs, most=5)
    draw(probability_figure(info), key="lesson-hypothesis", alt="what the network says before and after")
