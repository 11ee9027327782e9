"""TFLite files: conversion from Keras, and changes of their graphs that leave the forecasts as they are."""
