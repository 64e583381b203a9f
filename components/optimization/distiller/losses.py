"""Losses of a student: against its teacher, the labels, and the teacher's layers.

Runs where TensorFlow may be imported: in a child process.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from tfx_loop.optimization.distiller.soft_targets import EPSILON
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring

_Loss: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def soft_loss(student: Scoring, temperature: float) -> _Loss:
    """Returns the loss between the teacher's logits and the student's outputs, one number a row.

    The divergence of the student's softened answer from the teacher's (Hinton, Vinyals, Dean 2015,
    "Distilling the Knowledge in a Neural Network"), times the squared temperature, for the
    gradients of softened answers shrink by it (section 2). For numbers it is the squared error.

    Args:
        student: How the student's outputs are read.
        temperature: Divides the logits of both.
    """
    if student.kind is PredictionKind.NUMBER:
        return lambda teacher, outputs: tf.reduce_mean(tf.square(teacher - outputs), axis=-1)
    divergence = _of_classes if student.kind is PredictionKind.CLASSES else _of_yes

    def loss(teacher: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        logits = outputs if student.from_logits else _logits(outputs, student.kind)
        return temperature**2 * divergence(teacher / temperature, logits / temperature)

    return loss


def feature_loss(teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
    """Returns the mean squared difference of two layers' outputs (FitNets, Romero et al. 2015)."""
    return tf.reduce_mean(tf.square(teacher - student), axis=-1)


def _logits(probabilities: tf.Tensor, kind: PredictionKind) -> tf.Tensor:
    # As the teacher's: a student that answers exactly 0 has no gradient.
    clipped = tf.clip_by_value(probabilities, EPSILON, 1 - EPSILON)
    logits = tf.math.log(clipped)
    return logits - tf.math.log1p(-clipped) if kind is PredictionKind.BINARY else logits


def _of_classes(teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
    # Kullback-Leibler in log space: softmax first would round small probabilities to 0.
    expected = tf.nn.log_softmax(teacher)
    return tf.reduce_sum(tf.exp(expected) * (expected - tf.nn.log_softmax(student)), axis=-1)


def _of_yes(teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
    # Cross-entropy less the teacher's own entropy: the divergence, 0 where both agree.
    yes = tf.sigmoid(teacher)
    surprise = tf.nn.sigmoid_cross_entropy_with_logits(yes, student)
    least = tf.nn.sigmoid_cross_entropy_with_logits(yes, teacher)
    return tf.reduce_mean(surprise - least, axis=-1)
