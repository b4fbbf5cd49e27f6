"""Grad-CAM and Integrated Gradients, natural beside attacked."""

import streamlit as st

from backend.schemas.laboratory import SaliencyMaps, SaliencyRequest, SaliencyResult
from cifs.plot.saliency import saliency_figure, saliency_info
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.laboratory.common import about
from frontend.components.scene import Scene


def show_saliency(lab: Lab, scene: Scene) -> None:
    request = SaliencyRequest(**about(scene), layer=scene.layer.name)
    result = lab.waiting("Where does the network look? …").saliency(request).results[0]
    titles = [f"{name}: {maps.prediction.class_name}" for name, maps in _both(result)]
    cam, gradients = st.columns(2, gap="medium")
    with cam:
        st.subheader(f"Grad-CAM at {scene.layer.name}", anchor=False)
        st.caption("Where the layer's features speak for the class that is predicted. One scale for both.")
        info = saliency_info(titles, [maps.grad_cam for _, maps in _both(result)], signed=False)
        draw(saliency_figure(info), key="grad-cam", alt="Grad-CAM of the natural and the attacked image")
    with gradients:
        st.subheader("Integrated Gradients", anchor=False)
        st.caption("Each pixel's share of the predicted class's score, from a black image. One scale for both.")
        info = saliency_info(titles, [maps.integrated_gradients for _, maps in _both(result)], signed=True)
        draw(saliency_figure(info), key="gradients", alt="Integrated Gradients of the natural and the attacked image")
    st.caption("Each map explains the class its own image is predicted as, so the two may explain different classes.")


def _both(result: SaliencyResult) -> list[tuple[str, SaliencyMaps]]:
    return [("natural", result.natural), ("attacked", result.adversarial)]
